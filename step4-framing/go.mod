module example.com/tcp-steps/step4-framing

go 1.25.0

require (
	example.com/tcp-steps/internal v0.0.0
	github.com/stretchr/testify v1.12.1
)

require go.yaml.in/yaml/v3 v3.0.5 // indirect

replace example.com/tcp-steps/internal => ../internal
