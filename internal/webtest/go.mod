module github.com/go-vde/sdk/internal/webtest

go 1.26.3

require (
	github.com/chromedp/cdproto v0.159.3
	github.com/chromedp/chromedp v0.23.0
	github.com/go-vde/sdk v0.1.0
	github.com/go-vde/sdk/api v0.1.0
	go.uber.org/goleak v1.3.0
)
