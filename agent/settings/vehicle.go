package settings

import (
	"context"
	"math"

	"github.com/carillon-iot/carillon/agent/vehicle"
)

// A Vehicle is what settings are applied to; *vehicle.Memory is one. Both
// methods may block for as long as the vehicle takes, until ctx ends, and
// return an error that is a [vehicle.ErrNoSignal] for what this vehicle does
// not have. They must be safe for concurrent use.
type Vehicle interface {
	// Get returns the present value of a signal.
	Get(ctx context.Context, path string) (vehicle.Value, error)
	// Set writes an actuator and returns when the vehicle has taken the value.
	Set(ctx context.Context, path string, v vehicle.Value) error
}

// walking is the speed, in km/h, below which a vehicle stands: wheel sensors
// are not exact.
const walking = 0.5

// Moving reports whether the vehicle moves. It does when either signal says
// so, and when neither can be read.
func Moving(ctx context.Context, v Vehicle) bool {
	known := false
	if value, err := v.Get(ctx, vehicle.PathIsMoving); err == nil {
		if moves, ok := value.Bool(); ok {
			if moves {
				return true
			}
			known = true
		}
	}
	if value, err := v.Get(ctx, vehicle.PathSpeed); err == nil {
		if speed, ok := value.Number(); ok {
			if math.Abs(speed) >= walking {
				return true
			}
			known = true
		}
	}
	return !known
}
