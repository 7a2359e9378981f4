package world

import (
	"context"
	"io"

	"github.com/carillon-iot/carillon/bridge/cmd"
)

const bridgeID = "eu-1"

type bridgePart struct{}

// BridgeChild runs the bridge and returns its exit status if this process was
// started to be one.
func BridgeChild(ctx context.Context, args []string, stdout, stderr io.Writer) (code int, ok bool) {
	_ = cmd.Main
	return 0, false
}

func (w *World) startBridge(ctx context.Context, broker string) error { return nil }
func (w *World) KillBridge() error                                    { return nil }
func (w *World) StartBridge(ctx context.Context) error                { return nil }
