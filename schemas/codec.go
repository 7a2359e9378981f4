package schemas

import (
	"bytes"
	"reflect"

	"github.com/fxamacker/cbor/v2"
)

// Bounds that hold for every message before anything is allocated for it.
const (
	MaxUp   = 8 << 10  // bytes of an up message, envelope included
	MaxDown = 16 << 10 // bytes of a down message, envelope included

	maxNesting  = 4  // payload > cnf > COSE_Key is 3; 4 is the codec's minimum
	maxElements = 16 // of any array or map
)

// The codec is locked once; modes are immutable and safe for concurrent use.
var (
	encMode cbor.EncMode
	decMode cbor.DecMode // strict
	kndMode cbor.DecMode // strict but for unknown keys: reads the type alone
)

func init() {
	var err error
	encMode, err = cbor.EncOptions{
		Sort:          cbor.SortCoreDeterministic,
		ShortestFloat: cbor.ShortestFloat16,
		IndefLength:   cbor.IndefLengthForbidden,
		TagsMd:        cbor.TagsForbidden,
	}.EncMode()
	if err != nil {
		panic(err)
	}
	opts := cbor.DecOptions{
		SimpleValues:     trueAndFalse(),
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		IndefLength:      cbor.IndefLengthForbidden,
		TagsMd:           cbor.TagsForbidden,
		MaxNestedLevels:  maxNesting,
		MaxArrayElements: maxElements,
		MaxMapPairs:      maxElements,
		UTF8:             cbor.UTF8RejectInvalid,
		BignumTag:        cbor.BignumTagForbidden,
	}
	if kndMode, err = opts.DecMode(); err != nil {
		panic(err)
	}
	opts.ExtraReturnErrors = cbor.ExtraDecErrorUnknownField
	if decMode, err = opts.DecMode(); err != nil {
		panic(err)
	}
}

// trueAndFalse is the registry of the only simple values that are accepted:
// absence is said by leaving the key out, never by null or undefined, and the
// codec would take the unassigned ones for numbers.
func trueAndFalse() *cbor.SimpleValueRegistry {
	var reject []func(*cbor.SimpleValueRegistry) error
	for v := range 256 {
		isBool := v == 20 || v == 21
		reserved := v >= 24 && v < 32 // not well-formed to begin with
		if !isBool && !reserved {
			reject = append(reject, cbor.WithRejectedSimpleValue(cbor.SimpleValue(v)))
		}
	}
	r, err := cbor.NewSimpleValueRegistryFromDefaults(reject...)
	if err != nil {
		panic(err)
	}
	return r
}

// unmarshal decodes data strictly into v and refuses any encoding but the
// deterministic one. It does not check field values, but runs check between
// the two, so that an absent key is reported as missing and not as an odd
// encoding.
func unmarshal(data []byte, v any, check func() error) error {
	if err := decMode.Unmarshal(data, v); err != nil {
		return codecError(err)
	}
	if check != nil {
		if err := check(); err != nil {
			return err
		}
	}
	again, err := encMode.Marshal(v)
	if err != nil {
		return &Error{ClassNotCanonical, "", err}
	}
	if !bytes.Equal(again, data) {
		return failf(ClassNotCanonical, "", "want the deterministic encoding of RFC 8949 section 4.2.1")
	}
	return nil
}

// marshal encodes v deterministically. v is always one of this package's
// types, so an error is a bug.
func marshal(v any) []byte {
	b, err := encMode.Marshal(v)
	if err != nil {
		panic("schemas: encoding " + reflect.TypeOf(v).String() + ": " + err.Error())
	}
	return b
}
