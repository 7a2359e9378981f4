package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/carillon-iot/carillon/device-sim/phone"
	"github.com/carillon-iot/carillon/device-sim/world"
)

const playHelp = `
  a, approve            approve what the phone shows (the oldest, if several do)
  d, deny               deny it
  i, ignore             leave it until it lapses
  ask NAME [CAR] [FOR]  another sign-in: ask bela red seat light
  cancel [CAR]          withdraw the car's request
  out [CAR]             sign out, and see the settings restored
  q, quit               end the world
`

var errQuit = errors.New("quit")

// play lets the person at the terminal be everybody's phone and every driver.
func (v *visit) play(ctx context.Context) error {
	lines := readLines(v.std.in)
	if err := v.ask(ctx, v.car, v.flags.person, v.flags.scope); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			v.out.note("")
			return nil
		case <-v.world.Failed():
			return v.world.Err()
		case <-v.asked:
			v.out.note("\n  Approve (a), deny (d) or ignore (i)? help says what else.\n")
		case line, ok := <-lines:
			err := errQuit
			if ok {
				err = v.obey(ctx, strings.Fields(strings.ToLower(line)))
			}
			if errors.Is(err, errQuit) {
				return nil
			}
			if err != nil {
				v.out.note("  %v", err)
			}
		}
	}
}

// readLines reads until the end. Nothing interrupts a read from a terminal, so
// its goroutine ends with the program.
func readLines(r io.Reader) <-chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(r); s.Scan(); {
			lines <- s.Text()
		}
	}()
	return lines
}

func (v *visit) obey(ctx context.Context, words []string) error {
	if len(words) == 0 {
		return nil
	}
	switch words[0] {
	case "a", "approve", "y", "yes":
		return v.decide(phone.Approved)
	case "d", "deny", "n", "no":
		return v.decide(phone.Denied)
	case "i", "ignore":
		return v.decide(phone.Ignored)
	case "ask":
		return v.askAnother(ctx, words[1:])
	case "cancel":
		return v.withCar(words[1:], func(c *world.Car) error { return c.Cancel(ctx) })
	case "o", "out", "sign-out":
		return v.withCar(words[1:], func(c *world.Car) error { return c.SignOut(ctx) })
	case "q", "quit", "exit":
		return errQuit
	case "h", "help", "?":
		v.out.note(playHelp)
		return nil
	}
	return fmt.Errorf("%q is not understood; help says what is", words[0])
}

// decide answers on the phone that has waited longest.
func (v *visit) decide(verdict phone.Verdict) error {
	var oldest *world.Person
	for _, p := range v.world.People() {
		r, ok := p.Asked()
		if !ok {
			continue
		}
		if oldest != nil {
			if o, ok := oldest.Asked(); ok && o.CreatedAt.Before(r.CreatedAt) {
				continue
			}
		}
		oldest = p
	}
	if oldest == nil {
		return errors.New("no phone rings")
	}
	return oldest.Decide(verdict)
}

func (v *visit) askAnother(ctx context.Context, words []string) error {
	if len(words) == 0 || v.world.Person(words[0]) == nil {
		return fmt.Errorf("ask whom? One of %s", strings.Join(personNames(), ", "))
	}
	person, car, scope := words[0], v.car, v.flags.scope
	words = words[1:]
	if len(words) > 0 && slices.Contains(world.CarNames(), words[0]) {
		car, words = v.world.Car(words[0]), words[1:]
	}
	if len(words) > 0 {
		scope = strings.Join(words, " ")
	}
	if err := checkScope(scope); err != nil {
		return err
	}
	return v.ask(ctx, car, person, scope)
}

func (v *visit) withCar(words []string, do func(*world.Car) error) error {
	if len(words) == 0 {
		return do(v.car)
	}
	if !slices.Contains(world.CarNames(), words[0]) {
		return fmt.Errorf("which car? One of %s", strings.Join(world.CarNames(), ", "))
	}
	return do(v.world.Car(words[0]))
}
