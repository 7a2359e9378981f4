package schemas

import (
	"errors"
	"strings"

	"github.com/fxamacker/cbor/v2"
)

// codecError turns what the codec says into an [*Error]; ours pass through it
// unchanged.
func codecError(err error) *Error {
	if own, ok := errors.AsType[*Error](err); ok {
		return own
	}
	if e, ok := errors.AsType[*cbor.UnmarshalTypeError](err); ok {
		return typeError(e)
	}
	if e, ok := errors.AsType[*cbor.DupMapKeyError](err); ok {
		// Not its own words: they quote the key, whatever that is.
		return failf(ClassDuplicateKey, "", "map entry %d repeats a key", e.Index)
	}
	return &Error{classOf(err), "", errors.New(strings.TrimPrefix(err.Error(), "cbor: "))}
}

// typeError sorts out the cases for which the codec has one error. It leaves
// its Go type names behind: the reader may have written the peer in another
// language.
func typeError(e *cbor.UnmarshalTypeError) *Error {
	text := e.Error()
	// No field of this package is a plain int64, but the codec's map keys are.
	if e.GoType == "int64" || strings.Contains(text, "map key is of type") {
		return failf(ClassUnknownKey, "", "a key that is no 64-bit integer")
	}
	field := ""
	if dot := strings.LastIndexByte(e.StructFieldName, '.'); dot >= 0 {
		field = "key " + e.StructFieldName[dot+1:]
	}
	if strings.Contains(text, " overflows ") {
		return failf(ClassLimit, field, "the number is too large for this key")
	}
	return failf(ClassWrongType, field, "CBOR %s where another type is wanted", e.CBORType)
}

// classOf sorts the codec's other errors into ours.
func classOf(err error) Class {
	switch {
	case is[*cbor.ExtraneousDataError](err):
		return ClassTrailing
	case is[*cbor.IndefiniteLengthError](err):
		return ClassIndefinite
	case is[*cbor.TagsMdError](err):
		return ClassTag
	case is[*cbor.MaxNestedLevelError](err), is[*cbor.MaxArrayElementsError](err), is[*cbor.MaxMapPairsError](err):
		return ClassTooDeep
	case is[*cbor.UnknownFieldError](err):
		return ClassUnknownKey
	case is[*cbor.UnacceptableDataItemError](err):
		return ClassWrongType
	}
	return ClassMalformed
}

func is[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}
