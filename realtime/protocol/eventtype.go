package protocol

// The types of events, in the order in which a session can first send them.
func (SessionCreated) eventType() string         { return "session.created" }
func (SessionUpdated) eventType() string         { return "session.updated" }
func (ConversationCreated) eventType() string    { return "conversation.created" }
func (ErrorEvent) eventType() string             { return "error" }
func (SpeechStarted) eventType() string          { return "input_audio_buffer.speech_started" }
func (SpeechStopped) eventType() string          { return "input_audio_buffer.speech_stopped" }
func (InputCommitted) eventType() string         { return "input_audio_buffer.committed" }
func (InputCleared) eventType() string           { return "input_audio_buffer.cleared" }
func (TimeoutTriggered) eventType() string       { return "input_audio_buffer.timeout_triggered" }
func (ItemAdded) eventType() string              { return "conversation.item.added" }
func (ItemDone) eventType() string               { return "conversation.item.done" }
func (ItemDeleted) eventType() string            { return "conversation.item.deleted" }
func (ItemRetrieved) eventType() string          { return "conversation.item.retrieved" }
func (ItemTruncated) eventType() string          { return "conversation.item.truncated" }
func (TranscriptionDelta) eventType() string     { return transcription + "delta" }
func (TranscriptionCompleted) eventType() string { return transcription + "completed" }
func (TranscriptionFailed) eventType() string    { return transcription + "failed" }
func (TranscriptionSegment) eventType() string   { return transcription + "segment" }
func (ResponseCreated) eventType() string        { return "response.created" }
func (ResponseDone) eventType() string           { return "response.done" }
func (OutputItemAdded) eventType() string        { return "response.output_item.added" }
func (OutputItemDone) eventType() string         { return "response.output_item.done" }
func (ContentPartAdded) eventType() string       { return "response.content_part.added" }
func (ContentPartDone) eventType() string        { return "response.content_part.done" }
func (OutputAudioDelta) eventType() string       { return "response.output_audio.delta" }
func (OutputAudioDone) eventType() string        { return "response.output_audio.done" }
func (OutputTranscriptDelta) eventType() string  { return "response.output_audio_transcript.delta" }
func (OutputTranscriptDone) eventType() string   { return "response.output_audio_transcript.done" }
func (OutputTextDelta) eventType() string        { return "response.output_text.delta" }
func (OutputTextDone) eventType() string         { return "response.output_text.done" }
func (ArgumentsDelta) eventType() string         { return "response.function_call_arguments.delta" }
func (ArgumentsDone) eventType() string          { return "response.function_call_arguments.done" }
func (RateLimitsUpdated) eventType() string      { return "rate_limits.updated" }
func (OutputBufferStarted) eventType() string    { return "output_audio_buffer.started" }
func (OutputBufferStopped) eventType() string    { return "output_audio_buffer.stopped" }
func (OutputBufferCleared) eventType() string    { return "output_audio_buffer.cleared" }

const transcription = "conversation.item.input_audio_transcription."
