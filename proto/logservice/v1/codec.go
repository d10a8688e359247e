// Package logservicev1 is the gRPC service of live logs: what its definition,
// log_stream.proto, generates, and a Codec that moves batches of lines with
// fewer copies.
package logservicev1

import (
	"fmt"

	"google.golang.org/grpc/encoding"
	encodingproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// Codec writes and reads the messages of this package as the standard codec of
// gRPC does, byte for byte, except that it leaves lines where they are:
//
//   - a PushRequest, and a TailResponse given as Run, are sent from the
//     buffers that hold their lines, which nobody may change after;
//   - the lines of a PushRequest and of a TailResponse that were received
//     are a part of the one buffer into which the message was put together;
//     it belongs to the receiver, with one spare byte of capacity after it. Who
//     receives into an Incoming says where the buffer comes from.
//
// It goes into grpc.ForceServerCodecV2 and grpc.ForceCodecV2. The zero value
// is ready to use, by any number of goroutines.
type Codec struct{}

var _ encoding.CodecV2 = Codec{}

// Run is a TailResponse with a batch whose lines are in several buffers.
type Run struct {
	FirstSequence int64
	Count         int64
	Lines         [][]byte
	// Pool takes each buffer of Lines back once it has been sent, or never
	// will be. Nil: nobody asks for them. One of less than 1 KiB is not given
	// back.
	Pool mem.BufferPool
}

// Incoming is a PushRequest to receive into a buffer of the receiver's own.
type Incoming struct {
	PushRequest
	Alloc  func(n int64) []byte // returns an empty buffer for n bytes
	Buffer []byte               // the one that holds the lines
}

// Parse reads a message in b, of which its lines stay a part.
func (m *Incoming) Parse(b []byte) error {
	m.Buffer = b
	return unmarshalPush(b, &m.PushRequest)
}

// Numbers of the fields that hold lines; a test compares them with the
// definition.
const (
	pushLines  protowire.Number = 3
	tailBatch  protowire.Number = 2
	batchFirst protowire.Number = 1
	batchCount protowire.Number = 2
	batchLines protowire.Number = 3
)

// Name implements encoding.CodecV2.
func (Codec) Name() string { return encodingproto.Name }

// Marshal implements encoding.CodecV2.
func (Codec) Marshal(v any) (mem.BufferSlice, error) {
	switch m := v.(type) {
	case *Run:
		return m.marshal(), nil
	case *PushRequest:
		return marshalPush(m)
	}
	return standard().Marshal(v)
}

func standard() encoding.CodecV2 { return encoding.GetCodecV2(encodingproto.Name) }

func (r *Run) marshal() mem.BufferSlice {
	size := 0
	for _, l := range r.Lines {
		size += len(l)
	}
	inner := protowire.SizeTag(batchFirst) + protowire.SizeVarint(uint64(r.FirstSequence)) +
		protowire.SizeTag(batchCount) + protowire.SizeVarint(uint64(r.Count)) +
		protowire.SizeTag(batchLines) + protowire.SizeBytes(size)
	head := make([]byte, 0, 64)
	head = protowire.AppendTag(head, tailBatch, protowire.BytesType)
	head = protowire.AppendVarint(head, uint64(inner))
	head = protowire.AppendTag(head, batchFirst, protowire.VarintType)
	head = protowire.AppendVarint(head, uint64(r.FirstSequence))
	head = protowire.AppendTag(head, batchCount, protowire.VarintType)
	head = protowire.AppendVarint(head, uint64(r.Count))
	head = protowire.AppendTag(head, batchLines, protowire.BytesType)
	head = protowire.AppendVarint(head, uint64(size))
	out := make(mem.BufferSlice, 0, 1+len(r.Lines))
	out = append(out, mem.SliceBuffer(head))
	for _, l := range r.Lines {
		if r.Pool != nil {
			out = append(out, mem.NewBuffer(&l, r.Pool))
			continue
		}
		out = append(out, mem.SliceBuffer(l))
	}
	return out
}

func marshalPush(m *PushRequest) (mem.BufferSlice, error) {
	rest := &PushRequest{Account: m.Account, Key: m.Key, Offset: m.Offset}
	head, err := proto.Marshal(rest)
	if err != nil || len(m.Lines) == 0 {
		return mem.BufferSlice{mem.SliceBuffer(head)}, err
	}
	head = protowire.AppendTag(head, pushLines, protowire.BytesType)
	head = protowire.AppendVarint(head, uint64(len(m.Lines)))
	return mem.BufferSlice{mem.SliceBuffer(head), mem.SliceBuffer(m.Lines)}, nil
}

// Unmarshal implements encoding.CodecV2.
func (Codec) Unmarshal(data mem.BufferSlice, v any) error {
	switch m := v.(type) {
	case *Incoming:
		m.Buffer = m.Alloc(int64(data.Len()) + 1)[:data.Len()]
		data.CopyTo(m.Buffer)
		return m.Parse(m.Buffer)
	case *PushRequest:
		return unmarshalPush(whole(data), m)
	case *TailResponse:
		return unmarshalTail(whole(data), m)
	}
	return standard().Unmarshal(data, v)
}

// whole puts a message together, with one spare byte after it.
func whole(data mem.BufferSlice) []byte {
	n := data.Len()
	b := make([]byte, n, n+1)
	data.CopyTo(b)
	return b
}

func unmarshalPush(b []byte, m *PushRequest) error {
	lines, rest, err := cut(b, pushLines)
	if err != nil {
		return err
	}
	err = proto.Unmarshal(rest, m)
	m.Lines = lines
	return err
}

func unmarshalTail(b []byte, m *TailResponse) error {
	batch, rest, err := cut(b, tailBatch)
	if err != nil {
		return err
	}
	if batch == nil || len(rest) > 0 { // another part, or a field of a newer server
		return proto.Unmarshal(b, m)
	}
	lines, rest, err := cut(batch, batchLines)
	if err != nil {
		return err
	}
	part := new(TailBatch)
	err = proto.Unmarshal(rest, part)
	part.Lines = lines
	m.Part = &TailResponse_Batch{Batch: part}
	return err
}

// cut returns the value of the field num of the message b, a part of b, and a
// copy of what else the message holds. Of a field that comes twice the last
// value counts, as in every protobuf message.
func cut(b []byte, num protowire.Number) (value, rest []byte, err error) {
	for len(b) > 0 {
		n, typ, tag := protowire.ConsumeTag(b)
		if tag < 0 {
			return nil, nil, fmt.Errorf("proto: %w", protowire.ParseError(tag))
		}
		size := protowire.ConsumeFieldValue(n, typ, b[tag:])
		if size < 0 {
			return nil, nil, fmt.Errorf("proto: %w", protowire.ParseError(size))
		}
		if n == num && typ == protowire.BytesType {
			value, _ = protowire.ConsumeBytes(b[tag:])
		} else {
			rest = append(rest, b[:tag+size]...)
		}
		b = b[tag+size:]
	}
	return value, rest, nil
}
