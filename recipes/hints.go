package recipes

// recipeNames answers to names from axolotl, LLaMA-Factory, TRL, PEFT and torchtune, and to what graft
// will have but has not.
func recipeNames() nameTables {
	return nameTables{foreign: foreignNames, later: laterNames, values: refusedValues, paths: paths(Recipe{})}
}

var foreignNames = map[string]string{
	"model_name_or_path": "base_model", "model": "base_model", "base": "base_model",
	"stage": "method", "rl": "method", "finetuning_type": "adapter.type",
	"lora_rank": "adapter.lora_r", "r": "adapter.lora_r", "rank": "adapter.lora_r", "alpha": "adapter.lora_alpha",
	"lora_target_modules": "adapter.target_modules", "lora_target": "adapter.target_modules",
	"lora_target_linear": "adapter.target_modules: all-linear is what this asks for", "lora_attn_modules": "adapter.target_modules",
	"peft_use_rslora": "adapter.use_rslora", "lora_model_dir": "adapter.init_from", "adapter_name_or_path": "adapter.init_from",
	"dropout": "adapter.lora_dropout",

	"cutoff_len": "data.sequence_len", "max_length": "data.sequence_len", "max_seq_len": "data.sequence_len",
	"max_seq_length": "data.sequence_len", "packing": "data.sample_packing", "packed": "data.sample_packing",
	"neat_packing": "data.sample_packing", "truncation_mode": "data.excess_length_strategy",
	"val_set_size": "data.split.holdout", "val_size": "data.split.holdout", "test_size": "data.split.holdout",
	"dataset": "data.datasets", "ds_type": "the files are Parquet, leave the line out", "train_on_inputs": "loss is on the answers only, leave the line out",
	"chat_template": "the base's own chat template is used, leave the line out", "template": "the base's own chat template is used, leave the line out",
	"data_files": "path", "field_messages": "columns.messages", "file": "path", "uri": "path",

	"num_train_epochs": "train.num_epochs", "epochs": "train.num_epochs", "lr": "train.learning_rate",
	"per_device_train_batch_size": "train.micro_batch_size", "batch_size": "train.global_batch_size", "train_batch_size": "train.global_batch_size",
	"lr_scheduler_type": "train.lr_scheduler", "num_warmup_steps": "train.warmup_steps", "clip_grad_norm": "train.max_grad_norm", "gradient_clipping": "train.max_grad_norm",
	"optimizer": "AdamW is the one optimiser, leave the line out", "optim": "AdamW is the one optimiser, leave the line out",
	"adam_eps": "train.adam_epsilon",
	"rl_beta":  "train.beta", "dpo_beta": "train.beta", "pref_beta": "train.beta", "pref_loss": "train.loss_type", "dpo_loss_type": "train.loss_type",
	"dpo_label_smoothing": "train.label_smoothing", "ref_model": "reference", "ref_model_adapters": "reference",
	"data_seed": "train.seed", "checkpoint_steps": "train.save_steps",
	"precompute_ref_log_probs": "the reference is always scored once, before the first step, leave the line out",
	"gradient_checkpointing":   "it is always on, leave the line out",
	"bf16":                     "graft chooses its own widths, leave the line out", "fp16": "graft chooses its own widths, leave the line out",
	"output_dir":                   "runs and versions have their places in the store (graft train has --out), leave the line out",
	"resume_from_checkpoint":       "an interrupted run goes on from its newest checkpoint by itself, leave the line out",
	"auto_resume_from_checkpoints": "an interrupted run goes on from its newest checkpoint by itself, leave the line out",
	"test_datasets":                "evaluate.suites", "eval_dataset": "evaluate.suites", "gpus": "resources.hardware",
}

var laterNames = map[string]string{
	"sweep":                          "sweeps",
	"data.split.by":                  "a split by time; split.holdout and split.group work",
	"data.split.after":               "a split by time; split.holdout and split.group work",
	"schedule.min_new_rows":          "retraining only on enough new rows; every firing trains",
	"schedule.replay":                "mixing in rows of earlier runs",
	"resources.priority":             "priorities between runs",
	"resources.max_gpu_hours":        "a limit on GPU hours",
	"adapter.use_dora":               "DoRA adapters",
	"use_dora":                       "DoRA adapters",
	"adapter.rank_pattern":           "a rank per module",
	"adapter.alpha_pattern":          "an alpha per module",
	"adapter.modules_to_save":        "training whole modules beside the adapter",
	"adapter.lora_target_parameters": "naming parameters; target_modules takes the experts' projections",
	"adapter.init_lora_weights":      "other first values than A random, B zero",
	"load_in_4bit":                   "QLoRA over an NF4 base",
	"load_in_8bit":                   "a base in int8; FP8 bases stay FP8 as they are",
	"quantization_bit":               "QLoRA over an NF4 base",
	"train.neftune_noise_alpha":      "NEFTune noise",
	"neftune_noise_alpha":            "NEFTune noise",
	"train.router_aux_loss_coef":     "a loss on the router: it is frozen",
	"train.loraplus_lr_ratio":        "LoRA+ learning rates",
	"train.simpo_gamma":              "the method simpo",
	"train.desirable_weight":         "the method kto",
	"train.undesirable_weight":       "the method kto",
	"train.rpo_alpha":                "a supervised term beside the preference loss",
	"train.ld_alpha":                 "length-desensitised DPO",
	"train.f_divergence_type":        "other divergences than reverse KL",
	"train.sync_ref_model":           "a reference that follows the policy",
	"evaluate.eval_steps":            "evaluation while it trains; candidate and base are scored at the end",
	"eval_steps":                     "evaluation while it trains; candidate and base are scored at the end",
	"early_stopping_patience":        "early stopping",
	"load_best_model_at_end":         "publishing another checkpoint than the last",
	"data.datasets[].weight":         "weights of data sets; every row is used once an epoch",
	"data.datasets[].split":          "choosing a part of a data set; name its files by path",
	"tensor_parallel_size":           "spreading a base over devices by hand",
	"expert_parallel_size":           "spreading a base over devices by hand",
	"context_parallel_size":          "spreading a base over devices by hand",
	"deepspeed":                      "spreading a base over devices by hand",
}

var refusedValues = map[string]string{
	"adapter.lora_dropout=>max":              "not available yet: dropout (must be 0)",
	"resources.workers=>max":                 "not available yet: more than one worker",
	"data.datasets[].type=chat_template":     "write messages",
	"data.datasets[].type=completion":        "write text (loss on every token) or prompt-completion (loss on the completion)",
	"data.datasets[].type=prompt_completion": "write prompt-completion",
	"data.datasets[].type=dpo":               "write preference",
	"data.datasets[].type=alpaca":            "not available yet: alpaca rows; messages, prompt-completion, text and preference are",
	"data.datasets[].type=sharegpt":          "not available yet: sharegpt rows; messages, prompt-completion, text and preference are",
	"method=kto":                             "not available yet: kto (sft and dpo are)",
	"method=orpo":                            "not available yet: orpo (sft and dpo are)",
	"method=simpo":                           "not available yet: simpo (sft and dpo are)",
	"method=grpo":                            "not available yet: grpo (sft and dpo are)",
	"method=ipo":                             "write method: dpo and train.loss_type: ipo",
	"adapter.type=qlora":                     "not available yet: qlora, an adapter over an NF4 base (lora is; an FP8 base stays FP8 in memory)",
	"adapter.type=dora":                      "not available yet: dora (lora is)",
	"train.loss_type=kto_pair":               "not available yet: kto_pair",
	"train.loss_type=orpo":                   "not available yet: orpo",
	"train.loss_type=simpo":                  "not available yet: simpo",
}

// paths lists every path of a schema struct: groups without their own fields' values too.
func paths(v any) []string {
	var out []string
	var walk func(fields []Field, at string)
	walk = func(fields []Field, at string) {
		for _, f := range fields {
			p := join(at, f.Name)
			out = append(out, p)
			t := f.Type
			if t.Kind().String() == "slice" && t.Elem() != gateLineType && t.Elem().Kind().String() == "struct" {
				t, p = t.Elem(), p+"[]"
			}
			if t.Kind().String() == "struct" && t != gateLineType {
				walk(fieldsOf(t), p)
			}
		}
	}
	walk(FieldsOf(v), "")
	return out
}
