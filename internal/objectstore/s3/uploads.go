package s3

import (
	"context"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// AbortUploads implements objectstore.AbortUploads. Servers and policies that do not let us list uploads leave them to the bucket's
// lifecycle rule: that is no reason to fail what this call cleans up after.
func (s *Store) AbortUploads(ctx context.Context, prefix string, match func(key string) bool) (int, error) {
	n := 0
	pages := s3.NewListMultipartUploadsPaginator(s.api, &s3.ListMultipartUploadsInput{Bucket: &s.cfg.Bucket, Prefix: aws.String(s.prefix + prefix)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if status, _ := answer(err); status == http.StatusForbidden || status == http.StatusMethodNotAllowed || status == http.StatusNotImplemented {
			return n, nil
		}
		if err != nil {
			return n, s.fault("list uploads", prefix, err)
		}
		for _, u := range page.Uploads {
			key := strings.TrimPrefix(aws.ToString(u.Key), s.prefix)
			if !strings.HasPrefix(key, prefix) || !match(key) {
				continue
			}
			_, err := s.api.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &s.cfg.Bucket, Key: u.Key, UploadId: u.UploadId})
			if _, code := answer(err); err != nil && code != "NoSuchUpload" { // gone by itself meanwhile
				return n, s.fault("abort upload", key, err)
			}
			n++
		}
	}
	return n, nil
}
