package api

import (
	"context"
)

// live tells a console what happens, until whoever looks at it is signed out.
func (a *API) live(c *call) (any, error) {
	if c.ends != nil {
		ctx, cancel := context.WithCancel(c.r.Context())
		defer cancel()
		go func() {
			select {
			case <-c.ends:
				cancel()
			case <-ctx.Done():
			}
		}()
		c.r = c.r.WithContext(ctx)
	}
	return a.mounted(a.Live)(c)
}
