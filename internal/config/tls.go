package config

// validateTLS checks that the certificate settings fit together.
func (c *Config) validateTLS() error {
	needs := func(name, value, other string) error {
		return &Error{Name: Prefix + name, Value: value, Rule: "has no effect alone: also set " + Prefix + other}
	}
	switch {
	case c.TLSCert != "" && c.TLSKey == "":
		return needs("TLS_CERT", c.TLSCert, "TLS_KEY")
	case c.TLSKey != "" && c.TLSCert == "":
		return needs("TLS_KEY", c.TLSKey, "TLS_CERT")
	case c.TLSClientCA != "" && c.TLSCert == "":
		return needs("TLS_CLIENT_CA", c.TLSClientCA, "TLS_CERT")
	}
	return nil
}
