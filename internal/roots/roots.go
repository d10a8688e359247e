// Package roots has the certificate authorities that a TLS client trusts.
package roots

import (
	"crypto/x509"
	"fmt"
	"os"
)

// With returns the system's certificate authorities and those of a file, which
// adds to them: a private authority for one server must not end the trust in
// all others. The error names the file.
func With(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err // names the file
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // the system has none
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s contains no PEM certificate", file)
	}
	return pool, nil
}
