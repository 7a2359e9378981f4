// Command carillon-bridge signs people in to devices by ringing their phone.
// See carillon-bridge --help.
package main

import (
	"os"

	"github.com/carillon-iot/carillon/bridge/cmd"
)

func main() { os.Exit(cmd.Process()) }
