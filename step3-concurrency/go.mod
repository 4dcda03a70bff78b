module example.com/tcp-steps/step3-concurrency

go 1.25.0
