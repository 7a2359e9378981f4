package scenario

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/carillon-iot/carillon/device-sim/provider"
	"github.com/carillon-iot/carillon/device-sim/scenario/script"
	"github.com/carillon-iot/carillon/device-sim/world"
	"github.com/carillon-iot/carillon/schemas"
)

var errMisfit = errors.New("does not fit")

// slots is what may stand where. Names of people and cars may begin with a
// capital.
func slots() []script.Slot {
	var people, scopes []string
	for _, p := range provider.SamplePeople() {
		people = append(people, strings.ToLower(p.Name))
	}
	for _, s := range provider.SampleScopes() {
		scopes = append(scopes, s.Name)
	}
	cars, codes := world.CarNames(), codeNames()
	return []script.Slot{
		{Name: "car", Want: list(cars), Parse: oneOf(cars)},
		{Name: "victim", Want: list(cars), Parse: oneOf(cars)},
		{Name: "person", Want: list(people), Parse: oneOf(people)},
		{Name: "whom", Want: list(people) + ", or an e-mail address", Parse: parseWhom(people)},
		{Name: "scopes", Want: "a list of " + list(scopes) + `, as in "seat, light and media"`, Parse: parseScopes(scopes)},
		{Name: "duration", Want: "a number with ms, s or min", Parse: func(s string) (any, error) { return script.ParseDuration(s) }},
		{Name: "times", Want: `once, twice or "3 times"`, Parse: parseTimes},
		{Name: "bytes", Want: "a whole number", Parse: parseBytes},
		{Name: "message", Want: list(messageNames()), Parse: parseMessage},
		{Name: "code", Want: list(codes), Parse: parseCode(codes)},
	}
}

func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

func oneOf(words []string) func(string) (any, error) {
	return func(s string) (any, error) {
		if s = strings.ToLower(s); slices.Contains(words, s) {
			return s, nil
		}
		return nil, errMisfit
	}
}

// parseWhom takes a person's name, or what looks like an address.
func parseWhom(people []string) func(string) (any, error) {
	return func(s string) (any, error) {
		if at := strings.Index(s, "@"); at > 0 && at < len(s)-1 && !strings.Contains(s, " ") {
			return s, nil
		}
		return oneOf(people)(s)
	}
}

// parseScopes reads "a", "a and b", "a, b and c" into the scope parameter.
func parseScopes(known []string) func(string) (any, error) {
	return func(s string) (any, error) {
		words := strings.Split(strings.Replace(s, " and ", ", ", 1), ", ")
		for i, w := range words {
			if !slices.Contains(known, w) || slices.Contains(words[:i], w) {
				return nil, errMisfit
			}
		}
		return strings.Join(words, " "), nil
	}
}

func parseTimes(s string) (any, error) {
	switch s {
	case "once":
		return 1, nil
	case "twice":
		return 2, nil
	}
	number, ok := strings.CutSuffix(s, " times")
	n, err := strconv.ParseUint(number, 10, 8)
	if !ok || err != nil || n < 3 {
		return nil, errMisfit
	}
	return int(n), nil
}

func parseBytes(s string) (any, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return nil, errMisfit
	}
	return int64(n), nil
}

// down is what can be lost on its way to a car.
var down = []schemas.Kind{schemas.KindWelcome, schemas.KindPending, schemas.KindGranted, schemas.KindRefused, schemas.KindRevoked}

func messageNames() []string {
	var names []string
	for _, k := range down {
		names = append(names, k.String())
	}
	return names
}

func parseMessage(s string) (any, error) {
	for _, k := range down {
		if k.String() == s {
			return k, nil
		}
	}
	return nil, errMisfit
}

// codeNames are the refusals, written with blanks.
func codeNames() []string {
	var names []string
	for _, c := range schemas.Codes() {
		names = append(names, strings.ReplaceAll(c.String(), "_", " "))
	}
	return names
}

func parseCode(names []string) func(string) (any, error) {
	return func(s string) (any, error) {
		i := slices.Index(names, s)
		if i < 0 {
			return nil, errMisfit
		}
		return schemas.Codes()[i], nil
	}
}
