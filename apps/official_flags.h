// The spellings of He et al.'s command lines, for those who have them in their scripts or fingers: main_pretrain.py and
// main_finetune.py, and their submitit twins.
//
//     --mask_ratio 0.75          --mask-ratio 0.75: an underscore is as good as a dash, in every flag
//     --norm_pix_loss            --norm-pix
//     --input_size, --data_path, --output_dir, --job_dir, --num_workers, --finetune, --reprob, --aa
//                                --image-size, --data, --out, --workers, --checkpoint, --erase, --rand-augment
//     --batch_size, --accum_iter, --nodes, --ngpus, --world_size
//                                micro-batch, and a global batch of their product, so that the recipe stays the same on
//                                one device; a node has 8 GPUs, as there
//     --partition, --timeout, --use_volta32, --comment, --dist_url, --pin_mem, --log_dir, ...
//                                have no meaning here, and are said to have none
#pragma once

#include <string>
#include <vector>

namespace apps {

struct Translation {
  std::vector<std::string> words;    // of a command line of ours; of one without their words, itself
  std::vector<std::string> ignored;  // flags without a meaning here
};

/// `words`: the command's name first. Throws UsageError where a number is wanted and is none.
Translation from_official(const std::vector<std::string>& words);

}  // namespace apps
