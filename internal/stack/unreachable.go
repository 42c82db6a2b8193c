package stack

import (
	"context"
	"errors"
	"net"
	"time"
)

// Unreachable says why a Temporal that the user named does not answer. err is what its client said, which for an
// address that takes no connection is gRPC's word for it: the network's own is put in its place.
func Unreachable(ctx context.Context, address string, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	dialer := net.Dialer{Timeout: 2 * time.Second}
	conn, plain := dialer.DialContext(ctx, "tcp", address)
	if plain == nil {
		conn.Close()
		return mend("Temporal at %s does not answer: %w", address, err)
	}
	var op *net.OpError
	if errors.As(plain, &op) {
		plain = op.Err
	}
	return mend("Temporal at %s does not answer: %w", address, plain)
}
