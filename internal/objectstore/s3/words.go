package s3

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
)

// said is an error of the SDK in words for people, without operation names, request ids and wrappers.
type said struct {
	text string
	err  error
}

func (e *said) Error() string { return e.text }
func (e *said) Unwrap() error { return e.err }

// inWords says what the server refused or why none answered.
func inWords(err error) error {
	status, _ := answer(err)
	var (
		api     smithy.APIError
		parse   *smithy.DeserializationError
		request *url.Error
		tries   *retry.MaxAttemptsError
		none    *noCredentials
	)
	text := err.Error()
	switch {
	case errors.As(err, &none):
		text = "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
	case errors.As(err, &parse), status >= 400 && !errors.As(err, &api):
		text = fmt.Sprintf("HTTP %d, and not in S3's words: is this an S3 endpoint?", status)
	case errors.As(err, &api) && api.ErrorCode() != "":
		text = api.ErrorCode()
		if m := api.ErrorMessage(); m != "" && m != text && m != http.StatusText(status) {
			text += ": " + m
		}
		text = fmt.Sprintf("%s (HTTP %d)", text, status)
	case errors.As(err, &request):
		text = request.Err.Error()
	}
	if errors.As(err, &tries) {
		text += fmt.Sprintf(", %d times", tries.Attempt)
	}
	return &said{text, err}
}
