//go:build deps

// Package zz_deps keeps the module requirements while parts are being written.
package zz_deps

import (
	_ "github.com/eclipse/paho.mqtt.golang"
	_ "github.com/fxamacker/cbor/v2"
	_ "github.com/go-jose/go-jose/v4/jwt"
	_ "github.com/luikyv/go-oidc/pkg/provider"
	_ "github.com/mochi-mqtt/server/v2"
	_ "github.com/mochi-mqtt/server/v2/listeners"
	_ "github.com/peterbourgon/ff/v3/ffcli"
	_ "github.com/peterbourgon/ff/v3/fftoml"
	_ "github.com/pressly/goose/v3"
	_ "github.com/smallstep/certificates/api"
	_ "github.com/smallstep/certificates/authority"
	_ "github.com/smallstep/certificates/authority/provisioner"
	_ "github.com/veraison/go-cose"
	_ "go.step.sm/crypto/jose"
	_ "go.step.sm/crypto/pemutil"
	_ "golang.org/x/sync/errgroup"
	_ "golang.org/x/time/rate"
	_ "modernc.org/sqlite"
)
