package schemas_test

import (
	"bytes"
	"encoding/binary"
)

// A builder of CBOR that can also do what no encoder would: the vectors need
// both.

type item = []byte

func head(major byte, n uint64) item {
	switch {
	case n < 24:
		return item{major<<5 | byte(n)}
	case n < 1<<8:
		return item{major<<5 | 24, byte(n)}
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(item{major<<5 | 25}, uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(item{major<<5 | 26}, uint32(n))
	}
	return binary.BigEndian.AppendUint64(item{major<<5 | 27}, n)
}

// longHead is head one size larger than necessary.
func longHead(major byte, n uint64) item {
	switch {
	case n < 24:
		return item{major<<5 | 24, byte(n)}
	case n < 1<<8:
		return binary.BigEndian.AppendUint16(item{major<<5 | 25}, uint16(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint32(item{major<<5 | 26}, uint32(n))
	}
	return binary.BigEndian.AppendUint64(item{major<<5 | 27}, n)
}

func num(n int64) item {
	if n < 0 {
		return head(1, uint64(-1-n))
	}
	return head(0, uint64(n))
}

func bstr(b []byte) item     { return append(head(2, uint64(len(b))), b...) }
func tstr(s string) item     { return append(head(3, uint64(len(s))), s...) }
func arr(items ...item) item { return append(head(4, uint64(len(items))), bytes.Join(items, nil)...) }

// amap takes keys and values in turn and keeps their order.
func amap(items ...item) item {
	return append(head(5, uint64(len(items)/2)), bytes.Join(items, nil)...)
}

func cat(items ...item) item { return bytes.Join(items, nil) }

var (
	cborTrue  = item{0xf5}
	cborFalse = item{0xf4}
	cborNull  = item{0xf6}
	cborUndef = item{0xf7}
	cborHalf  = item{0xf9, 0x3c, 0x00} // 1.0
)

// indef makes the indefinite-length form of an array or map.
func indef(major byte, items ...item) item {
	return append(append(item{major<<5 | 31}, bytes.Join(items, nil)...), 0xff)
}

// entry is one key of a map, encoded.
type entry struct {
	key int64
	val item
}

// entries is a map under construction; its methods return changed copies.
type entries []entry

// keyOrder is the order of RFC 8949 section 4.2.1 among integer keys.
func keyOrder(a, b int64) bool { return bytes.Compare(num(a), num(b)) < 0 }

func (e entries) with(key int64, val item) entries {
	out := e.without(key)
	at := len(out)
	for i, x := range out {
		if keyOrder(key, x.key) {
			at = i
			break
		}
	}
	out = append(out, entry{})
	copy(out[at+1:], out[at:])
	out[at] = entry{key, val}
	return out
}

func (e entries) without(key int64) entries {
	var out entries
	for _, x := range e {
		if x.key != key {
			out = append(out, x)
		}
	}
	return out
}

// items lists keys and values in turn.
func (e entries) items() []item {
	var out []item
	for _, x := range e {
		out = append(out, num(x.key), x.val)
	}
	return out
}

func (e entries) encode() item { return amap(e.items()...) }

// plus appends raw keys and values behind the entries.
func (e entries) plus(items ...item) item { return amap(append(e.items(), items...)...) }
