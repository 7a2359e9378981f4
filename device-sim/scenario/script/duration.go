package script

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

var units = []struct {
	name string
	unit time.Duration
}{{"min", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}}

// ParseDuration reads a whole number and a unit, ms, s or min, a blank apart:
// "3 s". The number is 1 to 9999.
func ParseDuration(words string) (time.Duration, error) {
	number, unit, _ := strings.Cut(words, " ")
	n, err := strconv.ParseUint(number, 10, 16)
	for _, u := range units {
		if u.name == unit && err == nil && n > 0 && n <= 9999 && number[0] != '0' && number[0] != '+' {
			return time.Duration(n) * u.unit, nil
		}
	}
	return 0, fmt.Errorf("duration is %q, want a whole number from 1 to 9999 and ms, s or min, as in 3 s", words)
}
