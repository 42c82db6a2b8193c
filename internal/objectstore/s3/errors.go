package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/graft-ml/graft/internal/objectstore"
)

// fault names the place of an error and says whether repeating can help and who can mend it.
func (s *Store) fault(op, key string, err error) error {
	if err == nil {
		return nil
	}
	var done *objectstore.Fault
	if errors.As(err, &done) {
		return err
	}
	f := &objectstore.Fault{Op: op, URI: s.URI(key)}
	status, code := answer(err)
	switch {
	case code == "NoSuchBucket", code == "InvalidBucketName", code == "InvalidAccessKeyId", code == "SignatureDoesNotMatch",
		code == "XAdminUserNotFound": // versitygw: an access key that it does not know, with status 404
		f.Permanent, f.User, f.Err = true, true, fmt.Errorf("%s: %w", s.where, inWords(err))
	case status == http.StatusPreconditionFailed, status == http.StatusConflict && op == "put":
		f.Permanent, f.Err = true, fmt.Errorf("%s: %w", s.where, objectstore.ErrPrecondition)
	case status == http.StatusNotFound && (code == "NoSuchKey" || code == "NotFound"):
		f.Permanent, f.Err = true, fmt.Errorf("%s: %w", s.where, objectstore.ErrNotFound)
	case status == http.StatusUnauthorized, status == http.StatusForbidden, unsigned(err):
		f.Permanent, f.User, f.Err = true, true, fmt.Errorf("%s: %w", s.where, inWords(err))
	case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests, code == "RequestTimeout", code == "SlowDown", code == "BadDigest":
		f.Err = fmt.Errorf("%s: %w", s.where, inWords(err))
	case status >= 400 && status < 500: // without a code of S3's: something else is at that address
		f.Permanent, f.User, f.Err = true, code == "", fmt.Errorf("%s: %w", s.where, inWords(err))
	default:
		f.Permanent = !objectstore.Retryable(err)
		f.Err = fmt.Errorf("%s: %w", s.where, inWords(err))
	}
	if errors.Is(err, context.Canceled) {
		f.Permanent = true
	}
	return f
}

// answer is the HTTP status and the S3 error code of a refusal; zero values when no server answered.
func answer(err error) (status int, code string) {
	var re *awshttp.ResponseError
	if errors.As(err, &re) {
		status = re.HTTPStatusCode()
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		code = api.ErrorCode()
	}
	return status, code
}

// noCredentials says that no way of finding credentials worked.
type noCredentials struct{ error }

func (e *noCredentials) Unwrap() error { return e.error }

// named makes a lack of credentials an error of its own type, told apart from a server that does not answer.
type named struct{ aws.CredentialsProvider }

func (n named) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := n.CredentialsProvider.Retrieve(ctx)
	if err != nil {
		return c, &noCredentials{err}
	}
	return c, nil
}

func unsigned(err error) bool {
	var e *noCredentials
	return errors.As(err, &e)
}
