package pretrain

import (
	"strings"

	"github.com/graft-ml/graft/trainer/base"
)

// The ids of the control tokens: the last ones of the vocabulary, in the order of Specials.
func specialIDs(config base.Config) (endOfText, turnStart, turnEnd int) {
	return config.Vocab - 3, config.Vocab - 2, config.Vocab - 1
}

func configJSON(c base.Config, weights []base.Tensor) ([]byte, error) {
	endOfText, _, turnEnd := specialIDs(c)
	plain := []string{"lm_head", "model.embed_tokens"}
	for _, w := range weights {
		if module, ok := strings.CutSuffix(w.Name, ".mlp.gate.weight"); ok {
			plain = append(plain, module+".mlp.gate")
		}
	}
	return indented(map[string]any{
		"architectures": []string{"Qwen3MoeForCausalLM"}, "model_type": c.ModelType, "dtype": "bfloat16",
		"vocab_size": c.Vocab, "hidden_size": c.Hidden, "num_hidden_layers": c.Layers,
		"num_attention_heads": c.Heads, "num_key_value_heads": c.KVHeads, "head_dim": c.HeadDim,
		"num_experts": c.Experts, "num_experts_per_tok": c.TopK, "moe_intermediate_size": c.Inner, "norm_topk_prob": c.NormalizeTopK,
		"intermediate_size": 4 * c.Inner, "decoder_sparse_step": 1, "mlp_only_layers": []int{},
		"max_position_embeddings": c.MaxLen, "rope_theta": c.RopeTheta, "rms_norm_eps": c.NormEpsilon, "tie_word_embeddings": c.Tied,
		"hidden_act": "silu", "attention_bias": false, "attention_dropout": 0.0, "use_sliding_window": false,
		"initializer_range": 0.02, "router_aux_loss_coef": balance, "use_cache": true,
		"bos_token_id": nil, "eos_token_id": turnEnd, "pad_token_id": endOfText,
		"quantization_config": map[string]any{
			"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic",
			"weight_block_size": []int{c.FP8Block, c.FP8Block}, "modules_to_not_convert": plain,
		},
	})
}

// chatTemplate is ChatML; what the assistant says, the end of its turn included, is what generation tags mark.
const chatTemplate = `{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\n' }}
    {%- if message.role == 'assistant' %}
        {%- generation %}
            {{- message.content + '<|im_end|>' }}
        {%- endgeneration %}
    {%- else %}
        {{- message.content + '<|im_end|>' }}
    {%- endif %}
    {{- '\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}`

func tokenizerFiles(files map[string][]byte, c base.Config) error {
	endOfText, turnStart, turnEnd := specialIDs(c)
	token := func(text string) map[string]any {
		return map[string]any{"content": text, "lstrip": false, "normalized": false, "rstrip": false, "single_word": false, "special": true}
	}
	var err error
	put := func(name string, value any) {
		if err == nil {
			files[name], err = indented(value)
		}
	}
	put("tokenizer_config.json", map[string]any{
		"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": c.MaxLen, "clean_up_tokenization_spaces": false,
		"bos_token": nil, "eos_token": TurnEnd, "pad_token": EndOfText, "unk_token": nil, "add_prefix_space": false,
		"chat_template":        chatTemplate,
		"added_tokens_decoder": map[int]any{endOfText: token(EndOfText), turnStart: token(TurnStart), turnEnd: token(TurnEnd)},
	})
	put("special_tokens_map.json", map[string]any{"eos_token": TurnEnd, "pad_token": EndOfText})
	put("generation_config.json", map[string]any{
		"do_sample": true, "temperature": 0.7, "top_p": 0.95, "eos_token_id": []int{turnEnd, endOfText}, "pad_token_id": endOfText,
	})
	return err
}
