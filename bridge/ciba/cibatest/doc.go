// Package cibatest is an OpenID provider with CIBA for tests: its zero value
// works, and its fields make it misbehave.
package cibatest
