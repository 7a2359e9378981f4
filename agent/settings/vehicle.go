package settings

import (
	"context"

	"github.com/carillon-iot/carillon/agent/vehicle"
)

// A Vehicle is what settings are applied to; *vehicle.Memory is one. Both
// methods may block for as long as the vehicle takes, until ctx ends, and
// return an error that is a [vehicle.ErrNoSignal] for what this vehicle does
// not have. They are called from one goroutine, but for Get of the movement.
type Vehicle interface {
	// Get returns the present value of a signal.
	Get(ctx context.Context, path string) (vehicle.Value, error)
	// Set writes an actuator and returns when the vehicle has taken the value.
	Set(ctx context.Context, path string, v vehicle.Value) error
}
