package logservicev1

import (
	"bytes"
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

func TestTheCodecKnowsItsFields(t *testing.T) {
	for _, tc := range []struct {
		m    proto.Message
		name protoreflect.Name
		num  protoreflect.FieldNumber
	}{
		{&PushRequest{}, "lines", pushLines}, {&TailResponse{}, "batch", tailBatch},
		{&TailBatch{}, "first_sequence", batchFirst}, {&TailBatch{}, "count", batchCount}, {&TailBatch{}, "lines", batchLines},
	} {
		if f := tc.m.ProtoReflect().Descriptor().Fields().ByName(tc.name); f == nil || f.Number() != tc.num {
			t.Errorf("%T.%s is %v, the codec says %d", tc.m, tc.name, f, tc.num)
		}
	}
}

// messages of every kind that the codec treats in its own way, and others.
func messages() []proto.Message {
	lines := bytes.Repeat([]byte(`{"out":"x"}`+"\n"), 10_000)
	return []proto.Message{
		&PushRequest{}, &PushRequest{Lines: lines}, &PushRequest{Account: "A", Key: "k", Lines: lines, Offset: 7},
		&PushRequest{Account: "A", Offset: 1 << 62},
		&TailResponse{}, &TailResponse{Part: &TailResponse_Batch{Batch: &TailBatch{FirstSequence: 3, Count: 10_000, Lines: lines}}},
		&TailResponse{Part: &TailResponse_Gap{Gap: &TailGap{FirstSequence: 1, LastSequence: 9, Line: []byte("{}")}}},
		&TailResponse{Part: &TailResponse_End{End: &TailEnd{}}}, &TailResponse{Part: &TailResponse_Begin{Begin: &TailBegin{State: 2}}},
		&OpenRequest{Account: "A", Key: "k"},
	}
}

func TestTheCodecAgreesWithTheStandardOne(t *testing.T) {
	for _, m := range messages() {
		ours, err := Codec{}.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		back := m.ProtoReflect().New().Interface()
		if err := proto.Unmarshal(ours.Materialize(), back); err != nil || !proto.Equal(back, m) {
			t.Errorf("%T as we send it reads as %.200v, %v", m, back, err)
		}
		wire, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		for _, cut := range []int{0, 1, 5, len(wire)} { // as it may come, in pieces
			cut = min(cut, len(wire))
			in := mem.BufferSlice{mem.SliceBuffer(wire[:cut]), mem.SliceBuffer(wire[cut:])}
			back := m.ProtoReflect().New().Interface()
			if err := (Codec{}).Unmarshal(in, back); err != nil || !proto.Equal(back, m) {
				t.Errorf("%T reads as %.200v, %v", m, back, err)
			}
		}
	}
}

func TestARunIsATailResponse(t *testing.T) {
	r := &Run{FirstSequence: 300, Count: 3, Lines: [][]byte{[]byte("{}\n"), []byte("{}\n{}\n")}}
	b, err := Codec{}.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) != 3 || &b[1].ReadOnlyData()[0] != &r.Lines[0][0] {
		t.Error("the lines were copied")
	}
	got := new(TailResponse)
	want := &TailResponse{Part: &TailResponse_Batch{Batch: &TailBatch{FirstSequence: 300, Count: 3, Lines: []byte("{}\n{}\n{}\n")}}}
	if err := proto.Unmarshal(b.Materialize(), got); err != nil || !proto.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestReceivedLinesAreNotCopiedAndMayGrowByOne(t *testing.T) {
	wire, err := proto.Marshal(&PushRequest{Lines: []byte("{}")})
	if err != nil {
		t.Fatal(err)
	}
	m := new(PushRequest)
	if err := (Codec{}).Unmarshal(mem.BufferSlice{mem.SliceBuffer(wire)}, m); err != nil {
		t.Fatal(err)
	}
	if cap(m.GetLines()) <= len(m.GetLines()) {
		t.Error("no spare byte after the lines")
	}
	own := make([]byte, 0, 100)
	in := &Incoming{Alloc: func(n int64) []byte {
		if n != int64(len(wire)+1) {
			t.Errorf("asked for %d bytes, the message has %d", n, len(wire))
		}
		return own
	}}
	if err := (Codec{}).Unmarshal(mem.BufferSlice{mem.SliceBuffer(wire)}, in); err != nil || string(in.GetLines()) != "{}" || &in.Buffer[0] != &own[:1][0] {
		t.Errorf("%q, %v", in.GetLines(), err)
	}
}

func FuzzTheCodecAgreesWithTheStandardOne(f *testing.F) {
	for _, m := range messages()[:8] {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[:min(len(b), 100)])
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		for _, m := range []proto.Message{&PushRequest{}, &TailResponse{}} {
			want := m.ProtoReflect().New().Interface()
			wantErr := proto.Unmarshal(wire, want)
			err := Codec{}.Unmarshal(mem.BufferSlice{mem.SliceBuffer(wire)}, m)
			if wantErr == nil && (err != nil || !same(m, want)) {
				t.Errorf("%x reads as %v (%v), want %v", wire, m, err, want)
			}
		}
	})
}

// same leaves out unknown fields, whose order may differ.
func same(a, b proto.Message) bool {
	a.ProtoReflect().SetUnknown(nil)
	b.ProtoReflect().SetUnknown(nil)
	return proto.Equal(a, b)
}
