package report

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// seconds shows a long time.
func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// duration shows any time, to three digits.
func duration(d time.Duration) string {
	switch {
	case d >= 999500*time.Microsecond:
		return digits3(d.Seconds()) + " s"
	case d >= time.Millisecond:
		return digits3(float64(d)/1e6) + " ms"
	}
	return fmt.Sprintf("%d µs", d.Microseconds())
}

// digits3 shows a number of 1 or more with three digits, or all before the point.
func digits3(x float64) string {
	for places := 2; places > 0; places-- {
		if text := fmt.Sprintf("%.*f", places, x); len(text) <= len("1.23") {
			return text
		}
	}
	return fmt.Sprintf("%.0f", x)
}

// memory shows bytes in millions.
func memory(n int64) string { return thousands(int(math.Ceil(float64(n)/1e6))) + " MB" }

// thousands separates digits in groups of three, from 10,000 on.
func thousands(n int) string {
	text := fmt.Sprint(n)
	if len(text) < 5 {
		return text
	}
	var b strings.Builder
	for i, c := range text {
		if i > 0 && (len(text)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	return b.String()
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(n) + " " + many
}
