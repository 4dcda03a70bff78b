module example.com/tcp-steps/solutions

go 1.25.0
