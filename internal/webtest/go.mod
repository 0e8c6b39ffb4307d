module github.com/go-vde/sdk/internal/webtest

go 1.26.3

require (
	github.com/chromedp/cdproto v0.159.3
	github.com/chromedp/chromedp v0.23.0
	github.com/go-vde/sdk v0.1.0
	github.com/go-vde/sdk/api v0.1.0
	go.uber.org/goleak v1.3.0
)

require (
	connectrpc.com/connect/v2 v2.0.2 // indirect
	github.com/go-json-experiment/json v0.0.0-20260213210345-44df1a37e875 // indirect
	golang.org/x/sys v0.49.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)
