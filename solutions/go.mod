module example.com/tcp-steps/solutions

go 1.25.0

require example.com/tcp-steps/internal v0.0.0

replace example.com/tcp-steps/internal => ../internal
