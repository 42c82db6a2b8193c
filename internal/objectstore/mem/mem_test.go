package mem_test

import (
	"testing"

	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/objectstore/mem"
	"github.com/graft-ml/graft/internal/objectstore/storetest"
)

func TestContract(t *testing.T) {
	storetest.Run(t, func(*testing.T) objectstore.Store { return new(mem.Store) })
}
