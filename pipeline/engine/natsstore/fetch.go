package natsstore

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
)

// fetchBatch is how many messages one request asks for.
const fetchBatch = 1000

// fetch hands over the messages of a stream under a subject, oldest first, by JetStream's batched direct
// get (ADR-31): one request for a whole conversation and no consumer to make and to remove.
func (b *backend) fetch(ctx context.Context, stream, subject string, f func(data []byte)) error {
	inbox := b.nc.NewRespInbox()
	sub, err := b.nc.SubscribeSync(inbox)
	if err != nil {
		return err
	}
	defer sub.Unsubscribe() //nolint:errcheck // only a closed connection can fail here
	for from := uint64(1); from > 0; {
		req := fmt.Appendf(nil, `{"seq":%d,"batch":%d,"next_by_subj":%q}`, from, fetchBatch, subject)
		if err := b.nc.PublishRequest("$JS.API.DIRECT.GET."+stream, inbox, req); err != nil {
			return err
		}
		if from, err = takeBatch(ctx, sub, f); err != nil {
			return err
		}
	}
	return nil
}

// takeBatch hands over the messages of one answer and returns where the next request must start, 0 when
// that was all.
func takeBatch(ctx context.Context, sub *nats.Subscription, f func([]byte)) (next uint64, _ error) {
	for {
		msg, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return 0, err
		}
		switch status := msg.Header.Get("Status"); status {
		case "":
			f(msg.Data)
		case "404":
			return 0, nil
		case "204": // the end of the batch
			if pending := msg.Header.Get("Nats-Num-Pending"); pending == "" || pending == "0" {
				return 0, nil
			}
			var last uint64
			if _, err := fmt.Sscan(msg.Header.Get("Nats-Last-Sequence"), &last); err != nil {
				return 0, fmt.Errorf("end of batch: %w", err)
			}
			return last + 1, nil
		default:
			return 0, fmt.Errorf("direct get: %s %s", status, msg.Header.Get("Description"))
		}
	}
}
