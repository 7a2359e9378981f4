package schemas

import (
	"crypto/x509"

	"github.com/fxamacker/cbor/v2"
)

// chain is COSE x5chain (RFC 9360 section 2): a byte string for one
// certificate, an array of byte strings for more.
type chain []*x509.Certificate

// MarshalCBOR writes the one form that the length asks for.
func (c chain) MarshalCBOR() ([]byte, error) {
	if len(c) == 1 {
		return marshal(c[0].Raw), nil
	}
	ders := make([][]byte, len(c))
	for i, cert := range c {
		ders[i] = cert.Raw
	}
	return marshal(ders), nil
}

// UnmarshalCBOR accepts 1 to 4 certificates of at most 2 KiB each.
func (c *chain) UnmarshalCBOR(b []byte) error {
	var ders [][]byte
	if b[0]>>5 == 2 {
		ders = make([][]byte, 1)
		if err := decMode.Unmarshal(b, &ders[0]); err != nil {
			return err
		}
	} else {
		var items []cbor.RawMessage
		if err := decMode.Unmarshal(b, &items); err != nil || b[0]>>5 != 4 {
			return failf(ClassWrongType, "x5chain", "want a byte string, or an array of them")
		}
		if len(items) < 2 || len(items) > maxChain {
			return failf(ClassLimit, "x5chain", "array of %d, want 2 to %d", len(items), maxChain)
		}
		ders = make([][]byte, len(items))
		for i, item := range items {
			if item[0]>>5 != 2 {
				return failf(ClassWrongType, "x5chain", "want an array of byte strings")
			}
			if err := decMode.Unmarshal(item, &ders[i]); err != nil {
				return err
			}
		}
	}
	out := make(chain, len(ders))
	for i, der := range ders {
		if len(der) > maxCertificate {
			return failf(ClassLimit, "x5chain", "certificate of %d bytes, limit %d", len(der), maxCertificate)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return failf(ClassMalformed, "x5chain", "certificate %d does not parse", i)
		}
		out[i] = cert
	}
	*c = out
	return nil
}
