// Package vehicle says which signals of a vehicle a person's settings may
// write, and is such a vehicle in memory.
//
// The [Catalog] is a table of VSS 6.0 (the COVESA Vehicle Signal
// Specification): path, datatype, range, allowed values. It travels with the
// agent because the signal servers met in practice do not say these things
// when asked, or accept values outside them. Where VSS 6.0 itself has no
// range (a seat's tilt, a cabin's temperature), the catalog has limits of its
// own, marked [Signal.Own]; a manufacturer narrows them with [Catalog.Narrow].
//
// The catalog holds what may be a person's setting and nothing else: no
// switches, no commands, no doors, nothing of the drive train.
//
// [Memory] is a vehicle that lives in memory, for simulations and tests. An
// adapter to a real vehicle implements the same Get and Set, with
// [ErrNoSignal] for what the vehicle does not have.
package vehicle
