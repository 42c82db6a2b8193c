package workflows_test

import (
	"testing"

	"github.com/graft-ml/graft/internal/stack/stacktest"
)

func TestMain(m *testing.M) { stacktest.Main(m) }
