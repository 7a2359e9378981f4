package schemas_test

import (
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/fxamacker/cbor/v2"
)

// diagnose writes diagnostic notation (RFC 8949 section 8), with << … >> for
// byte strings that hold a map or an array, or "" for what is not one
// well-formed item. The codec's own notation would take any byte string that
// happens to decode for embedded CBOR, key ids included.
func diagnose(b []byte) string {
	if cbor.Wellformed(b) != nil {
		return ""
	}
	s, _ := diagnoseItem(b)
	return s
}

func diagnoseItem(b []byte) (s string, rest []byte) {
	major, indefinite := b[0]>>5, b[0]&31 == 31
	switch {
	case major == 2 && !indefinite:
		var content []byte
		rest = try(cbor.UnmarshalFirst(b, &content))
		if len(content) > 0 && (content[0]>>5 == 4 || content[0]>>5 == 5) && cbor.Wellformed(content) == nil {
			return "<<" + diagnose(content) + ">>", rest
		}
		return "h'" + hex.EncodeToString(content) + "'", rest
	case major == 4:
		return diagnoseList(b, "[", "]", indefinite, 1)
	case major == 5:
		return diagnoseList(b, "{", "}", indefinite, 2)
	}
	if major == 3 && !indefinite { // with \x.. for what is not UTF-8
		n, rest := headOf(b)
		return strconv.Quote(string(rest[:n])), rest[n:]
	}
	return try2(cbor.DiagnoseFirst(b))
}

func try2[A, B any](a A, b B, err error) (A, B) {
	if err != nil {
		panic(err)
	}
	return a, b
}

// diagnoseList writes an array or, with two items to a piece, a map.
func diagnoseList(b []byte, begin, end string, indefinite bool, items int) (string, []byte) {
	n, rest := headOf(b)
	var pieces []string
	for i := uint64(0); indefinite && rest[0] != 0xff || !indefinite && i < n; i++ {
		var piece [2]string
		for j := range items {
			piece[j], rest = diagnoseItem(rest)
		}
		pieces = append(pieces, strings.Join(piece[:items], ": "))
	}
	if indefinite {
		begin, rest = begin+"_ ", rest[1:]
	}
	return begin + strings.Join(pieces, ", ") + end, rest
}

// headOf reads the argument of a head.
func headOf(b []byte) (n uint64, rest []byte) {
	info := b[0] & 31
	if info < 24 || info == 31 {
		return uint64(info), b[1:]
	}
	size := 1 << (info - 24)
	for _, x := range b[1 : 1+size] {
		n = n<<8 | uint64(x)
	}
	return n, b[1+size:]
}
