package schemas

import (
	"bytes"
	"errors"
	"reflect"
	"strings"

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
	// Absence is said by leaving the key out, never by null or undefined.
	simple, err := cbor.NewSimpleValueRegistryFromDefaults(cbor.WithRejectedSimpleValue(22), cbor.WithRejectedSimpleValue(23))
	if err != nil {
		panic(err)
	}
	opts := cbor.DecOptions{
		SimpleValues:     simple,
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

// unmarshal decodes data strictly into v and refuses any encoding but the
// deterministic one. It does not check field values, but runs check between
// the two, so that an absent key is reported as missing and not as an odd
// encoding.
func unmarshal(data []byte, v any, check func() error) error {
	if err := decMode.Unmarshal(data, v); err != nil {
		return codecError("", err)
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

// codecError turns what the codec says into an [*Error]; ours pass through it
// unchanged.
func codecError(field string, err error) *Error {
	if own, ok := errors.AsType[*Error](err); ok {
		return own
	}
	return &Error{classOf(err), field, brief(err)}
}

// classOf sorts the codec's errors into ours.
func classOf(err error) Class {
	if e, ok := errors.AsType[*cbor.UnmarshalTypeError](err); ok && e.CBORType == "positive integer" && strings.HasPrefix(e.GoType, "uint") {
		return ClassLimit // a number too large for its field
	}
	for _, c := range []struct {
		is    func() bool
		class Class
	}{
		{as[*cbor.ExtraneousDataError](err), ClassTrailing},
		{as[*cbor.IndefiniteLengthError](err), ClassIndefinite},
		{as[*cbor.TagsMdError](err), ClassTag},
		{as[*cbor.MaxNestedLevelError](err), ClassTooDeep},
		{as[*cbor.MaxArrayElementsError](err), ClassTooDeep},
		{as[*cbor.MaxMapPairsError](err), ClassTooDeep},
		{as[*cbor.DupMapKeyError](err), ClassDuplicateKey},
		{as[*cbor.UnknownFieldError](err), ClassUnknownKey},
		{as[*cbor.InvalidMapKeyTypeError](err), ClassUnknownKey},
		{as[*cbor.UnmarshalTypeError](err), ClassWrongType},
		{as[*cbor.UnacceptableDataItemError](err), ClassWrongType},
	} {
		if c.is() {
			return c.class
		}
	}
	return ClassMalformed
}

func as[T error](err error) func() bool {
	return func() bool { _, ok := errors.AsType[T](err); return ok }
}

// brief strips the codec's Go type names from an error: the reader may have
// written the peer in another language.
func brief(err error) error {
	if e, ok := errors.AsType[*cbor.UnmarshalTypeError](err); ok {
		return errors.New("CBOR " + e.CBORType + " where another type is wanted")
	}
	return errors.New(strings.TrimPrefix(err.Error(), "cbor: "))
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
