package vehicle

import "strings"

// Paths of signals that are read rather than set.
const (
	PathSpeed    = "Vehicle.Speed"    // km/h, negative backwards
	PathIsMoving = "Vehicle.IsMoving" // whether the vehicle moves
)

// Branches, with the places that instances writes out.
const (
	seat    = "Vehicle.Cabin.Seat.{seat}."
	station = "Vehicle.Cabin.HVAC.Station.{station}."
	mirror  = "Vehicle.Body.Mirrors.{side}."
	ambient = "Vehicle.Cabin.Light.AmbientLight.{corner}."
	cabin   = "Vehicle.Cabin."
	media   = "Vehicle.Cabin.Infotainment.Media."
	navi    = "Vehicle.Cabin.Infotainment.Navigation."
	hmi     = "Vehicle.Cabin.Infotainment.HMI."
)

// Own limits where VSS 6.0 has none.
const (
	seatTravel  = 500  // mm
	smallTravel = 150  // mm: of a headrest, a cushion, a lumbar support
	maxSpeed    = 1000 // km/h
)

// instances are the places that a template path stands for, as VSS 6.0 lists
// them. The labels differ from branch to branch.
var instances = map[string][]string{
	"{seat}": {
		"Row1.DriverSide", "Row1.Middle", "Row1.PassengerSide",
		"Row2.DriverSide", "Row2.Middle", "Row2.PassengerSide",
	},
	"{station}": {
		"Row1.Driver", "Row1.Passenger", "Row2.Driver", "Row2.Passenger",
		"Row3.Driver", "Row3.Passenger", "Row4.Driver", "Row4.Passenger",
	},
	"{side}":   {"DriverSide", "PassengerSide"},
	"{corner}": {"Row1.DriverSide", "Row1.PassengerSide", "Row2.DriverSide", "Row2.PassengerSide"},
}

// signalsVSS6 writes the table out.
func signalsVSS6() map[string]Signal {
	all := map[string]Signal{}
	for _, branch := range [][]Signal{
		seatSignals(), climateSignals(), mirrorSignals(), lightSignals(), mediaSignals(), screenSignals(), motionSignals(),
	} {
		for _, s := range branch {
			for _, path := range writeOut(s.Path) {
				s.Path = path
				all[path] = s
			}
		}
	}
	return all
}

// seatSignals covers a seat. All but warmth, air and massage moves who sits on it.
func seatSignals() []Signal {
	return []Signal{
		mmOf(seat+"Position", Uint16, seatTravel, 150),
		mmOf(seat+"Height", Uint16, 200, 60),
		angle(seat+"Tilt", -15, 25),
		angle(seat+"Backrest.Recline", -10, 60).resting(Number(20)),
		ratio(seat+"Backrest.LumbarSupport", 0, 0).moves(),
		ratio(seat+"Backrest.TopLumbarSupport", 0, 0).moves(),
		ratio(seat+"Backrest.MidLumbarSupport", 0, 0).moves(),
		ratio(seat+"Backrest.BottomLumbarSupport", 0, 0).moves(),
		mmOf(seat+"Backrest.LumbarHeight", Uint8, smallTravel, 0),
		ratio(seat+"Backrest.SideBolsterSupport", 0, 0).moves(),
		ratio(seat+"Backrest.SideBolsterSupportLeft", 0, 0).moves(),
		ratio(seat+"Backrest.SideBolsterSupportRight", 0, 0).moves(),
		ratio(seat+"Backrest.UpperShoulderSupport", 0, 0).moves(),
		mmOf(seat+"Seating.Length", Uint16, smallTravel, 0),
		ratio(seat+"Seating.SideBolsterSupportLeft", 0, 0).moves(),
		ratio(seat+"Seating.SideBolsterSupportRight", 0, 0).moves(),
		mmOf(seat+"Headrest.Height", Uint8, smallTravel, 40),
		angle(seat+"Headrest.Angle", -20, 45),
		ratio(seat+"HeatingCooling", -100, 0).as(Int8),
		ratio(seat+"Backrest.HeatingCooling", -100, 0).as(Int8),
		ratio(seat+"Seating.HeatingCooling", -100, 0).as(Int8),
		ratio(seat+"NeckScarf.HeatingCooling", -100, 0).as(Int8),
		ratio(seat+"NeckScarf.FanSpeed", 0, 0).as(Uint8),
		ratio(seat+"Massage.Level", 0, 0).as(Uint8),
		text(seat+"Massage.TypeActive", "", Plain),
	}
}

// climateSignals covers the air.
func climateSignals() []Signal {
	return []Signal{
		number(station+"Temperature", Float, 15, 30, 21, "Celsius").own(),
		ratio(station+"FanSpeed", 0, 30).as(Uint8),
		choice(station+"AirDistribution", "MIDDLE", "UP", "DOWN"),
		flag(cabin + "HVAC.IsAirConditioningActive"),
		flag(cabin + "HVAC.IsRecirculationActive"),
	}
}

// mirrorSignals covers the mirrors.
func mirrorSignals() []Signal {
	return []Signal{
		ratio(mirror+"Tilt", -100, 0).as(Int8).moves(),
		ratio(mirror+"Yaw", -100, 0).as(Int8).moves(),
		flag(mirror + "IsFolded").moves(),
		flag(mirror + "IsHeatingOn"),
		ratio(cabin+"RearviewMirror.DimmingLevel", 0, 0).as(Uint8),
	}
}

// lightSignals covers the ambient light. Its intensity begins at 1: off is IsLightOn.
func lightSignals() []Signal {
	return []Signal{
		flag(ambient + "IsLightOn"),
		ratio(ambient+"Intensity", 1, 50).as(Uint8),
		text(ambient+"Color", "#FFFFFF", Color),
	}
}

// mediaSignals covers sound. Commands (Media.Action) are no settings.
func mediaSignals() []Signal {
	return []Signal{
		ratio(media+"Volume", 0, 20).as(Uint8),
		text(media+"SelectedURI", "", Plain),
		choice(media+"Played.Source", "UNKNOWN", "SIRIUS_XM", "AM", "FM", "DAB", "TV", "CD", "DVD", "AUX", "USB", "DISK", "BLUETOOTH", "INTERNET", "VOICE", "BEEP"),
		ratio(navi+"Volume", 0, 20).as(Uint8),
		choice(navi+"Mute", "UNMUTED", "MUTED", "ALERT_ONLY"),
		choice(navi+"GuidanceVoice", "STANDARD_FEMALE", "STANDARD_MALE", "ETC"),
		flag(navi + "Map.IsAutoScaleModeUsed"),
	}
}

// screenSignals covers the display. Its language is a sensor in VSS 6.0.
func screenSignals() []Signal {
	return []Signal{
		ratio(hmi+"Brightness", 0, 70),
		flag(hmi + "IsScreenAlwaysOn"),
		number(hmi+"DisplayOffDuration", Uint16, 0, 3600, 0, "s").own(),
		choice(hmi+"FontSize", "STANDARD", "LARGE", "EXTRA_LARGE"),
		choice(hmi+"DayNightMode", "DAY", "NIGHT"),
		choice(hmi+"DateFormat", "YYYY_MM_DD", "DD_MM_YYYY", "MM_DD_YYYY", "YY_MM_DD", "DD_MM_YY", "MM_DD_YY"),
		choice(hmi+"TimeFormat", "HR_24", "HR_12"),
		choice(hmi+"DistanceUnit", "KILOMETERS", "MILES"),
		choice(hmi+"SpeedUnit", "KILOMETERS_PER_HOUR", "MILES_PER_HOUR", "METERS_PER_SECOND"),
		choice(hmi+"TemperatureUnit", "C", "F"),
		choice(hmi+"TirePressureUnit", "BAR", "PSI", "KPA"),
		choice(hmi+"FuelVolumeUnit", "LITER", "GALLON_US", "GALLON_UK"),
		choice(hmi+"FuelEconomyUnits", "LITERS_PER_100_KILOMETERS", "MPG_UK", "MPG_US", "MILES_PER_LITER", "KILOMETERS_PER_LITER"),
		choice(hmi+"EVEconomyUnits", "KILOWATT_HOURS_PER_100_KILOMETERS", "MILES_PER_KILOWATT_HOUR", "KILOMETERS_PER_KILOWATT_HOUR", "KILOWATT_HOURS_PER_100_MILES", "WATT_HOURS_PER_MILE", "WATT_HOURS_PER_KILOMETER"),
		choice(hmi+"EVEnergyUnits", "KILOWATT_HOURS", "WATT_HOURS", "AMPERE_HOURS"),
		text(hmi+"CurrentLanguage", "en", Plain).sensor(),
	}
}

// motionSignals is what is read to know whether the vehicle moves.
func motionSignals() []Signal {
	return []Signal{
		number(PathSpeed, Float, -maxSpeed, maxSpeed, 0, "km/h").own().sensor(),
		flag(PathIsMoving).sensor(),
	}
}

// writeOut replaces the place in a template path by each of its instances.
func writeOut(path string) (paths []string) {
	for place, names := range instances {
		if strings.Contains(path, place) {
			for _, n := range names {
				paths = append(paths, strings.Replace(path, place, n, 1))
			}
			return paths
		}
	}
	return []string{path}
}

func number(path string, t Type, least, most, rest float64, unit string) Signal {
	return Signal{Path: path, Type: t, Min: least, Max: most, Actuator: true, Unit: unit, rest: Number(rest)}
}

// ratio is percent from least to 100, as a float unless it is said otherwise.
func ratio(path string, least, rest float64) Signal {
	return number(path, Float, least, 100, rest, "percent")
}

// mmOf is a movement from 0, whose end VSS leaves to the vehicle.
func mmOf(path string, t Type, most, rest float64) Signal {
	return number(path, t, 0, most, rest, "mm").own().moves()
}

// angle is a movement whose range VSS leaves to the vehicle.
func angle(path string, least, most float64) Signal {
	return number(path, Float, least, most, 0, "degrees").own().moves()
}

func flag(path string) Signal {
	return Signal{Path: path, Type: Boolean, Actuator: true, rest: Bool(false)}
}

func text(path, rest string, f Form) Signal {
	return Signal{Path: path, Type: String, Form: f, Actuator: true, rest: Text(rest)}
}

// choice is a text out of a list; a vehicle in memory rests on the first.
func choice(path string, allowed ...string) Signal {
	return Signal{Path: path, Type: String, Allowed: allowed, Actuator: true, rest: Text(allowed[0])}
}

func (s Signal) moves() Signal             { s.Moves = true; return s }
func (s Signal) sensor() Signal            { s.Actuator = false; return s }
func (s Signal) own() Signal               { s.Own = true; return s }
func (s Signal) as(t Type) Signal          { s.Type = t; return s }
func (s Signal) resting(rest Value) Signal { s.rest = rest; return s }
