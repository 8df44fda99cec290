"""Trains on every device of one machine, or of a cluster, and goes on where it stopped when it was killed.

    python examples/train_distributed.py                     # all GPUs of this machine
    TF_CONFIG='{"cluster": {"worker": ["host-a:2222", "host-b:2222"]}, "task": {"type": "worker", "index": 0}}' \\
        python examples/train_distributed.py --output /shared/runs    # on host-a; index 1 on host-b

Cluster managers such as Kubeflow's set TF_CONFIG themselves. Every worker runs the same command; the output folder must
be one that all of them see. Started again after a failure, all go on from the last whole epoch.
Writes model.keras and model.tflite into <output>/<dataset>/.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf

import datasets
import train_and_export
from keras_ternary_spike.export import export_tflite

BATCH_SIZE = 128  # of all replicas together
NEVER = 2**31


class MultiWorker(tf.distribute.MultiWorkerMirroredStrategy):
    """With it, Keras's `fit` can average what it does not: a batch of several tensors, and scalars, over replicas.

    See https://github.com/keras-team/keras/issues/20585.
    """

    def reduce(self, reduce_op, value, axis):
        reduce = super().reduce

        def reduce_one(tensor):
            is_scalar = self.experimental_local_results(tensor)[0].shape.rank == 0
            return reduce(reduce_op, tensor, None if is_scalar else axis)

        return tf.nest.map_structure(reduce_one, value)

    @property
    def is_chief(self):
        resolver = self.cluster_resolver
        return (resolver.task_type, resolver.task_id) in (("chief", 0), ("worker", 0), (None, None))


def make_strategy():
    """Must come before anything else of TensorFlow: workers find each other first."""
    return MultiWorker() if "TF_CONFIG" in os.environ else tf.distribute.MirroredStrategy()


def batches(images, labels, *, training):
    """The same batches in the same order on every worker; TensorFlow hands each worker its share of every batch."""
    dataset = tf.data.Dataset.from_tensor_slices((images, labels))
    if training:
        dataset = dataset.shuffle(len(images), seed=0)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return dataset.batch(BATCH_SIZE, drop_remainder=training).with_options(options)


def backup(folder, *, writes):
    """Every worker restores the last whole epoch; one of them writes it."""
    return keras.callbacks.BackupAndRestore(folder, save_freq="epoch" if writes else NEVER, delete_checkpoint=writes)


def main(arguments):
    strategy = make_strategy()
    writes = getattr(strategy, "is_chief", True)
    keras.utils.set_random_seed(arguments.seed)
    data = datasets.load(arguments.dataset, data_dir=arguments.data_dir, seed=arguments.seed)
    data = data.first(arguments.samples) if arguments.samples else data
    epochs = arguments.epochs or train_and_export.EPOCHS[data.name]
    folder = arguments.output / data.name
    folder.mkdir(parents=True, exist_ok=True)

    with strategy.scope():
        shape, filters = data.train_images.shape[1:], train_and_export.FILTERS[data.name]
        model = train_and_export.build(shape, data.classes, filters=filters, timesteps=train_and_export.TIMESTEPS)
        train_and_export.compile_model(model, steps=epochs * (len(data.train_images) // BATCH_SIZE))
    print(f"{strategy.num_replicas_in_sync} replicas", flush=True)
    callbacks = [backup(folder / "backup", writes=writes)]
    train = batches(data.train_images, data.train_labels, training=True)
    model.fit(train, epochs=epochs, callbacks=callbacks, shuffle=False, verbose=2)

    _, accuracy = model.evaluate(batches(data.test_images, data.test_labels, training=False), verbose=0)
    print(f"test accuracy {accuracy:.2%}")
    if writes:
        model.save(folder / "model.keras")
        (folder / "model.tflite").write_bytes(export_tflite(model))
        print(f"Written to {folder}: model.keras, model.tflite")


def command_line():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    train_and_export.add_training_arguments(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main(command_line())
