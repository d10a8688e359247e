package client

import "bytes"

// hidden stands for a secret.
const hidden = "***"

// secrets is a trie of the texts to hide. It does not change; nil hides nothing.
type secrets struct {
	first [256]*trieNode
}

// trieNode is a text that begins one of the secrets.
type trieNode struct {
	whole bool // it is one of them
	char  []byte
	next  []*trieNode // after each of char
}

// newSecrets returns nil if there is nothing to hide.
func newSecrets(texts []string) *secrets {
	s := &secrets{}
	for _, text := range texts {
		for _, form := range formsOf(text) {
			s.insert(form)
		}
	}
	for _, n := range s.first {
		if n != nil {
			return s
		}
	}
	return nil
}

func (s *secrets) insert(text string) {
	if text == "" {
		return
	}
	n := s.first[text[0]]
	if n == nil {
		n = &trieNode{}
		s.first[text[0]] = n
	}
	for i := 1; i < len(text); i++ {
		next := n.after(text[i])
		if next == nil {
			next = &trieNode{}
			n.char, n.next = append(n.char, text[i]), append(n.next, next)
		}
		n = next
	}
	n.whole = true
}

func (n *trieNode) after(c byte) *trieNode {
	if i := bytes.IndexByte(n.char, c); i >= 0 {
		return n.next[i]
	}
	return nil
}

// match returns the length of the longest secret that b begins with, zero if there
// is none. open reports that a longer one may follow once there is more of b.
func (s *secrets) match(b []byte) (length int, open bool) {
	n := s.first[b[0]]
	for i := 1; n != nil; i++ {
		if n.whole {
			length = i
		}
		if i == len(b) {
			return length, len(n.next) > 0
		}
		n = n.after(b[i])
	}
	return length, false
}

// in hides the secrets in a text that is complete.
func (s *secrets) in(text string) string {
	if s == nil || text == "" {
		return text
	}
	m := masker{secrets: s}
	return string(m.feed([]byte(text), true))
}

// masker hides secrets in text that comes in pieces.
type masker struct {
	*secrets
	held   []byte // may begin a secret
	inside int    // bytes of held, and what follows, that belong to a secret
	shown  bool   // hidden stands for the secret that ends the text so far
}

// feed returns the text that is known to be no part of a secret, or has been
// masked. With last, nothing is held. The result is valid until the next call.
// Line breaks within a secret remain.
func (m *masker) feed(p []byte, last bool) []byte {
	text := append(m.held, p...)
	out := make([]byte, 0, len(text)+len(hidden))
	i, end := 0, m.inside
	for ; i < len(text); i++ {
		if i >= end {
			n := m.clear(text[i:])
			out = append(out, text[i:i+n]...)
			m.shown = m.shown && n == 0
			if i += n; i == len(text) {
				break
			}
		}
		length, open := m.match(text[i:])
		if open && !last {
			break
		}
		end = max(end, i+length)
		switch c := text[i]; {
		case i >= end, c == '\n', c == '\r':
			out = append(out, c)
			m.shown = false
		case !m.shown:
			out = append(out, hidden...)
			m.shown = true
		}
	}
	m.inside = max(0, end-i)
	m.held = append([]byte(nil), text[i:]...)
	return out
}

// clear returns how many bytes no secret begins with.
func (m *masker) clear(text []byte) int {
	for i, c := range text {
		if m.first[c] != nil {
			return i
		}
	}
	return len(text)
}
