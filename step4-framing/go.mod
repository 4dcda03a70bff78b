module example.com/tcp-steps/step4-framing

go 1.25.0
