package settings

import (
	"strconv"
	"strings"

	"github.com/carillon-iot/carillon/schemas"
)

// A document is written for the driver's seat.
const driver schemas.Seat = 1

// sides are the three places of a row, from the driver's, as a Seat counts.
var sides = [3]string{"DriverSide", "Middle", "PassengerSide"}

// A branch of VSS with a part for each place. VSS labels the places of the
// air conditioning otherwise than those of seats.
type branch struct {
	prefix string
	labels [3]string // "" where the branch has no such place
}

var placed = []branch{
	{"Vehicle.Cabin.Seat.", sides},
	{"Vehicle.Cabin.HVAC.Station.", [3]string{"Driver", "", "Passenger"}},
	{"Vehicle.Cabin.Light.AmbientLight.", [3]string{"DriverSide", "", "PassengerSide"}},
}

// toSeat translates a path of the driver's place to the seat. The reason says
// why a path cannot be for that seat.
func toSeat(path string, seat schemas.Seat) (translated, reason string) {
	for _, b := range placed {
		rest, ok := strings.CutPrefix(path, b.prefix)
		if !ok {
			continue
		}
		rest, ok = strings.CutPrefix(rest, "Row1."+b.labels[0]+".")
		if !ok {
			return "", "belongs to somebody else's place"
		}
		label := b.labels[(seat-1)%3]
		if label == "" {
			return "", "there is none at this seat"
		}
		row := "Row" + strconv.Itoa(int(seat-1)/3+1)
		return b.prefix + row + "." + label + "." + rest, ""
	}
	if seat != driver {
		return "", "belongs to the driver or to the whole vehicle"
	}
	return path, ""
}
