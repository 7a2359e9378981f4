package settings

import "github.com/carillon-iot/carillon/schemas"

// A Token is what settings are fetched with.
type Token struct {
	Access []byte
	Type   schemas.TokenType
}
