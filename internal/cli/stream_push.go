package cli

import "context"

// idPushFlags are pushFlags with the arguments of later releases of the original
// Harness log service: push ACCOUNT TOKEN KEY MESSAGE LEVEL LINE.
type idPushFlags struct {
	pushFlags `embed:""`

	LevelArg *string `arg:"" name:"level" optional:"" help:"Level of the lines, like --level."`
	LineArg  *int64  `arg:"" name:"line" optional:"" help:"Position of the message, like --line."`
}

func (f idPushFlags) run(ctx context.Context, s *session, t target, message *string) error {
	push := f.pushFlags
	if f.LevelArg != nil {
		push.Level = *f.LevelArg
	}
	if f.LineArg != nil {
		push.Line = f.LineArg
	}
	return push.run(ctx, s, t, message)
}
