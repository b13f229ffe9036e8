"""The inverse of a matrix by products of matrices alone, and what it says of itself."""

import torch

from hyperinf.linalg import ConvergenceError, hyperpower_inverse

torch.manual_seed(0)
a = torch.randn(300, 200, dtype=torch.float64)
a = a.T @ a / 300 + 0.1 * torch.eye(200, dtype=torch.float64)

result = hyperpower_inverse(a, method="schulz", tol=1e-6)
print(f"{result.iterations} iterations, {result.matmuls} products, residual {float(result.residual):.1e}")
print(f"largest error {(result.inverse - torch.linalg.inv(a)).abs().max():.1e}")

try:
    hyperpower_inverse(a - torch.eye(200, dtype=torch.float64))  # not positive definite
except ConvergenceError as error:
    print(f"refused: {error}")
