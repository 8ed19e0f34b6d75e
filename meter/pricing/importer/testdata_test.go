package importer

// sample is in the form of the public map; its models and prices are invented.
const sample = `{
  "last_updated": "2026-01-01",
  "sample_spec": {"input_cost_per_token": 0.0},
  "acme/plain": {"litellm_provider": "acme", "mode": "chat", "input_cost_per_token": 2.5e-07, "cache_read_input_token_cost": 2.5e-08, "output_cost_per_token": 2e-06, "output_cost_per_reasoning_token": 2e-06, "max_output_tokens": 128000.0, "supports_vision": true},
  "acme/long": {"litellm_provider": "acme", "mode": "chat", "input_cost_per_token": 5e-06, "output_cost_per_token": 3e-05,
    "input_cost_per_token_above_272k_tokens": 1e-05, "output_cost_per_token_above_272k_tokens": 4.5e-05,
    "input_cost_per_token_flex": 2.5e-06, "output_cost_per_token_flex": 1.5e-05,
    "input_cost_per_token_priority": 1e-05, "output_cost_per_token_priority": 6e-05,
    "input_cost_per_token_batches": 2.5e-06, "output_cost_per_token_batches": 1.5e-05},
  "acme/cache": {"litellm_provider": "acme", "mode": "chat", "input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05, "cache_creation_input_token_cost": 3.75e-06, "cache_creation_input_token_cost_above_1hr": 6e-06, "cache_creation_input_token_cost_above_1hr_above_200k_tokens": 1.2e-05, "regional_processing_uplift_multiplier_eu": 1.1},
  "acme/search": {"litellm_provider": "acme", "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06, "search_context_cost_per_query": {"search_context_size_low": 0.005, "search_context_size_medium": 0.008, "search_context_size_high": 0.012}},
  "acme/tiers": {"litellm_provider": "acme", "mode": "chat", "tiered_pricing": [{"input_cost_per_token": 5e-08, "output_cost_per_token": 4e-07, "range": [0, 256000.0]}, {"input_cost_per_token": 2.5e-07, "output_cost_per_token": 2e-06, "range": [256000.0, 1e6]}]},
  "acme/silent": {"litellm_provider": "acme", "mode": "chat", "input_cost_per_token": 1e-06},
  "paint": {"litellm_provider": "palette", "mode": "image_generation", "output_cost_per_image": 0.04},
  "paint-tokens": {"litellm_provider": "palette", "mode": "image_generation", "input_cost_per_token": 5e-06, "output_cost_per_image_token": 4e-05, "output_cost_per_image": 0.134},
  "256-x-256/dots": {"litellm_provider": "palette", "mode": "image_generation", "input_cost_per_pixel": 2.4414e-07, "output_cost_per_pixel": 0.0},
  "hear": {"litellm_provider": "palette", "mode": "audio_transcription", "input_cost_per_second": 0.0001, "output_cost_per_second": 0.0001},
  "say:1": {"litellm_provider": "palette", "mode": "audio_speech", "input_cost_per_character": 1.5e-05},
  "read": {"litellm_provider": "palette", "mode": "ocr", "ocr_cost_per_page": 0.003, "annotation_cost_per_page": 0.005},
  "rank": {"litellm_provider": "palette", "mode": "rerank", "input_cost_per_query": 0.002, "input_cost_per_token": 0.0, "output_cost_per_token": 0.0},
  "lease": {"litellm_provider": "palette", "mode": "chat", "input_cost_per_second": 0.011},
  "no": {"litellm_provider": "palette", "mode": "moderation", "input_cost_per_token": 0.0, "output_cost_per_token": 0.0}
}`

const sampleLines = `models:
  acme/plain: {per_1m_tokens: {input: 0.25, cached_input: 0.025, output: 2}, max_output_tokens: 128_000}
  acme/long:
    per_1m_tokens: {input: 5, output: 30}
    adjust:
      - {when: {service_tier: flex}, price: {per_1m_tokens: {input: 2.5, output: 15}}}
      - {when: {service_tier: priority}, price: {per_1m_tokens: {input: 10, output: 60}}}
      - {when: {input_tokens: {above: 272_000}}, price: {per_1m_tokens: {input: 10, output: 45}}}
      - {when: {input_tokens: {above: 272_000}, service_tier: priority}, price: {per_1m_tokens: {output: 60}}}
  acme/cache:
    per_1m_tokens: {input: 3, cache_write: 3.75, cache_write_1h: 6, output: 15}
    adjust:
      - {when: {input_tokens: {above: 200_000}}, price: {per_1m_tokens: {cache_write_1h: 12}}}
  acme/search:
    per_1m_tokens: {input: 1, output: 1}
    per_web_search: 0.008
    adjust:
      - {when: {body.web_search_options.search_context_size: low}, price: {per_web_search: 0.005}}
      - {when: {body.web_search_options.search_context_size: high}, price: {per_web_search: 0.012}}
  acme/tiers:
    per_1m_tokens: {input: 0.05, output: 0.4}
    adjust:
      - {when: {input_tokens: {above: 256_000}}, price: {per_1m_tokens: {input: 0.25, output: 2}}}
  acme/silent: {per_1m_tokens: {input: 1}}
  paint: {per_image: 0.04}
  paint-tokens: {per_1m_tokens: {input: 5, image_output: 40}}
  "256-x-256/dots": {per_pixel: 0.00000024414}
  hear: {per_second: 0.0001}
  "say:1": {per_character: 0.000015}
  read: {per_page: 0.003, per_annotated_page: 0.005}
  rank: {per_query: 0.002}
  "no": {per_1m_tokens: {input: 0, output: 0}}
`

const routed = `{"data": [
  {"id": "acme/chat", "pricing": {"prompt": "0.00000125", "completion": "0.00001", "request": "0", "image": "0", "web_search": "0.01", "internal_reasoning": "0", "input_cache_read": "0.000000125"}, "top_provider": {"max_completion_tokens": 32768}},
  {"id": "acme/ask", "pricing": {"prompt": "1e-6", "completion": "1e-6", "request": "0.005", "image": "0.001", "frame": "1"}, "top_provider": {"max_completion_tokens": null}},
  {"id": "router/auto", "pricing": {"prompt": "-1", "completion": "-1"}},
  {"id": "acme/gift:free", "pricing": {"prompt": "0", "completion": "0"}}
]}`

const routedLines = `models:
  acme/chat: {per_1m_tokens: {input: 1.25, cached_input: 0.125, output: 10}, per_web_search: 0.01, max_output_tokens: 32_768}
  acme/ask: {per_1m_tokens: {input: 1, output: 1}, per_request: 0.005, per_image: 0.001}
  "acme/gift:free": {per_1m_tokens: {input: 0, output: 0}}
`
