-- Posts what an OpenAI client sends.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"messages":[{"role":"system","content":"You are a helpful assistant."},'
    .. '{"role":"user","content":"Which \\"model\\" of a car is the best for a family of five?"}],'
    .. '"model":"llama","max_tokens":128,"stream":false,"temperature":0.7}'
