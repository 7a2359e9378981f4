// Package cmd is the carillon-bridge command.
package cmd

import (
	"context"
	"io"
)

// Main runs carillon-bridge with args (without the program's name) and the
// environment environ ("NAME=value"), and returns the exit status: 0 for
// success, 1 for failure, 2 for wrong usage. It returns when ctx is done, after
// finishing what is on its way.
func Main(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int { return 2 }
