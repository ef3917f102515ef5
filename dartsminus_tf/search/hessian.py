"""The largest eigenvalue of d2 L_val / d alpha2: RobustDARTS' indicator of a supernet that generalises badly
(section 4 of Zela et al., ICLR 2020).

    H v = d/d alpha < d L_val / d alpha, v >        exact, by two nested gradient tapes

Lanczos iterations find the eigenvalue from a few dozen such products; the released code builds the whole matrix, one
row after the other. It also adds alpha's L2 weight to the diagonal, which moves every eigenvalue by that constant; here
the loss alone counts.
"""

import keras
import numpy as np
import tensorflow as tf
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

TOLERANCE = 1e-4


class AlphaHessian:
    """The Hessian of a bilevel search's loss with respect to alpha, on one batch, with the batch's own statistics.

    Moving statistics, and every other variable that is not trained, are as before after every method. Skip dropout is
    off. The candidate `noise` draws anew in every product: there the eigenvalue is an estimate. The kinks of ReLUs and
    max pools are no part of the Hessian, as in every derivative by backpropagation.

    Args:
        model: a built and compiled `BilevelSearch`.
    """

    def __init__(self, model: keras.Model):
        self.model = model
        self.size = sum(int(np.prod(alpha.shape)) for alpha in model.supernet.alpha_variables)
        self._product = tf.function(self._trace)

    def _trace(self, x: tf.Tensor, y: tf.Tensor, vector: tf.Tensor) -> tf.Tensor:
        values = [alpha.value for alpha in self.model.supernet.alpha_variables]
        shapes = [value.shape for value in values]
        pieces = tf.split(vector, [shape.num_elements() for shape in shapes])
        directions = [tf.reshape(piece, shape) for piece, shape in zip(pieces, shapes, strict=True)]
        with tf.GradientTape(watch_accessed_variables=False) as outer:
            outer.watch(values)
            with tf.GradientTape(watch_accessed_variables=False) as inner:
                inner.watch(values)
                loss = self.model.loss(y, self.model.supernet(x, training=True))
            gradients = inner.gradient(loss, values)
            along = tf.add_n([tf.reduce_sum(g * d) for g, d in zip(gradients, directions, strict=True)])
        products = outer.gradient(along, values, unconnected_gradients="zero")
        return tf.concat([tf.reshape(product, [-1]) for product in products], axis=0)

    def product(self, x: tf.Tensor, y: tf.Tensor, vector: np.ndarray) -> np.ndarray:
        """H v for `vector` [size], alphas one after the other; images x [N, H, W, 3], labels y [N]."""
        kept = self._without_dropout()
        try:
            return self._multiply(x, y, vector)
        finally:
            self._restore(kept)

    def matrix(self, x: tf.Tensor, y: tf.Tensor) -> np.ndarray:
        """The whole Hessian [size, size], column by column; the mean of it and its transpose, which rounding parts."""
        kept = self._without_dropout()
        try:
            columns = np.stack([self._multiply(x, y, unit) for unit in np.eye(self.size, dtype=np.float32)], axis=1)
        finally:
            self._restore(kept)
        return (columns + columns.T) / 2

    def largest_eigenvalue(self, x: tf.Tensor, y: tf.Tensor) -> float:
        """The algebraically largest eigenvalue on images x [N, H, W, 3] and labels y [N]; NaN where Lanczos fails."""
        kept = self._without_dropout()
        operator = LinearOperator(
            (self.size, self.size), matvec=lambda vector: self._multiply(x, y, vector), dtype=np.float64
        )
        start = np.random.default_rng(0).normal(size=self.size)  # fixed, so that a resumed run finds the same
        try:
            found = eigsh(operator, k=1, which="LA", v0=start, tol=TOLERANCE, return_eigenvectors=False)
        except ArpackNoConvergence as error:
            found = error.eigenvalues
        finally:
            self._restore(kept)
        return float(found[0]) if len(found) else float("nan")

    def _multiply(self, x, y, vector) -> np.ndarray:
        vector = tf.constant(np.asarray(vector).reshape(-1), tf.float32)
        return self._product(tf.convert_to_tensor(x), tf.convert_to_tensor(y), vector).numpy().astype(np.float64)

    def _without_dropout(self) -> list:
        net = self.model.supernet
        kept = [(variable, variable.numpy()) for variable in net.non_trainable_variables]
        dropout = getattr(net, "skip_dropout", None)
        if dropout is not None:
            dropout.rate.assign(0.0)
        return kept

    @staticmethod
    def _restore(kept: list) -> None:
        for variable, value in kept:
            variable.assign(value)
